"""The namespace tap in the capture process: packets carried, the host's network followed, the agent answered."""

import os
from collections.abc import Mapping

from hark.tap.loop import Loop
from hark.tap.namespace.follow import Follower
from hark.tap.namespace.hostside import HostSide
from hark.tap.recorder import Recorder
from hark.tap.tun.decisions import Decisions
from hark.tap.tun.network import Network
from hark.tap.tun.plane import Plane

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hark.tap.namespace.helper import Helper


class NamespaceTap(Plane):
    """Serves what setup.build has made: its descriptors by name, and the network in it."""

    def __init__(
        self,
        files: Mapping[str, int],
        network: Network,
        loop: Loop,
        recorder: Recorder,
        decisions: Decisions | None,
        helper: "Helper | None" = None,
    ) -> None:
        self.helper = helper  # makes sockets in the namespaces; None where the plan has not asked for one
        super().__init__(files, network, loop, recorder, decisions or Decisions())
        Follower(loop, self.tun, network, files["route"])
        HostSide(loop, files["host"], files["owners"], os.getuid() == 0)  # the loop has it
