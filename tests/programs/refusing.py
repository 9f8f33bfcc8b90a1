"""hark with decisions about traffic: one at each of the three points.

usage: python refusing.py HARK-ARGUMENTS...
"""

import sys

import hark.commands.run
from hark.cli import main
from hark.plan import plan
from hark.tap.tun.decisions import PASS, Action, Decision, Decisions

REFUSED = Decision(Action.REFUSE, "by the test")


class Rules(Decisions):
    """No TLS port, no datagram that says "no", no POST."""

    def connect(self, client, server, pid):
        return REFUSED if server[1] == 8443 else PASS

    def datagram(self, client, server, data, pid):
        return REFUSED if bytes(data) == b"no" else PASS

    def first_bytes(self, client, server, data, pid):
        return REFUSED if bytes(data[:5]) == b"POST " else PASS


def planned(facts):
    """The plan, with the rules."""
    made = plan(facts)
    made.decisions = Rules()
    return made


hark.commands.run.plan = planned
sys.exit(main(sys.argv[1:]))
