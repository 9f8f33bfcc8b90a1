"""`hark doctor`: what works on this machine, each "no" with its reason and the command that changes it.

What   The findings of the tap and of every key source of the plan, as a run would meet them.
"""

import os
from collections.abc import Callable

from hark.errors import Finding
from hark.installed import AGENT, HOOK, PRIVATE, there
from hark.keys import keylogfile
from hark.plan import Facts, plan
from hark.tap.namespace.probe import probe


def doctor(say: Callable[[str], None]) -> int:
    """Print what was found; 0 where `hark COMMAND` works, else 1."""
    keylog = keylogfile.named(os.environ.get(keylogfile.VARIABLE, ""))
    chosen = plan(Facts(there(AGENT), there(HOOK), keylog, PRIVATE))
    tap = probe(PRIVATE, chosen.keys)
    found = [*tap.findings, *chosen.findings(tap.files, tap.failed)]
    for finding in found:
        for line in lines(finding):
            say(line)
    works = all(not finding.why or finding.effect for finding in found)
    say("hark COMMAND works here." if works else "hark COMMAND does not work here yet; hark read FILE does.")
    return 0 if works else 1


def lines(finding: Finding) -> list[str]:
    """A finding as it is printed: "limited" is one without which a run works, but lacks something."""
    if not finding.why:
        return [f"ok       {finding.name}"]
    mark = "limited" if finding.effect else "NO"
    return [f"{mark:7}  {finding.name}: {finding.text}", *([f"         fix: {finding.fix}"] if finding.fix else ())]
