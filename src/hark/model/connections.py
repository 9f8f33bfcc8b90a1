"""Connections, the processes that own them, and names, from the decoder's events.

What   Tables: open connections by number, processes by pid, DNS answers and names by address.
Why    An exchange refers to its connection; what is known of that may grow until it ends.
Limits The decoder limits the number of open connections. PIDS processes, CHAINS certificate chains and limits.ADDRESSES
       names are remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hark.bounded import Bounded
from hark.decode import events as ev
from hark.decode import limits
from hark.decode.endings import Ending, How, Phase
from hark.model import failing
from hark.model.attempts import Attempts
from hark.model.changes import Change, Failed, Superseded
from hark.model.exchange import Connection
from hark.model.failure import Failure, FailureKind

if TYPE_CHECKING:
    from hark.recording.blocks import Names, Process

_PIDS = 4096
_CHAINS = 4096


class Connections:
    """Folds events about connections. A method returns the change that its event makes, if it makes one; further ones
    are in `more`."""

    def __init__(self) -> None:
        self.open: dict[int, Connection] = {}
        self.attempts = Attempts()
        self.more: list[Change] = []
        self.cross_linked = False  # whether a change depends on several connections: names were resolved inside of one,
        #   or a request on one may supersede a failure of another
        self._processes: Bounded[int, Process] = Bounded(_PIDS)
        self._answers: Bounded[str, ev.Dns] = Bounded(limits.ADDRESSES)  # that no connection has used yet
        self._names: Bounded[str, str] = Bounded(limits.ADDRESSES)  # the last name that was resolved to an address
        self._chains: dict[tuple[bytes, ...], tuple[bytes, ...]] = {}  # certificates, each kept once

    # -- failures ------------------------------------------------------------------------------------------------------

    def fail(self, failure: Failure, quiet: bool = False) -> None:
        """Hold a failure until nothing can supersede it. quiet: if something does, it is not reported at all."""
        superseded = self.attempts.failed(failure, quiet)
        if superseded is not None:
            self.more.append(Superseded(superseded))

    def superseded(self, failures: list[Failure]) -> None:
        """Another attempt has superseded these."""
        self.more += map(Superseded, failures)

    # -- connections ---------------------------------------------------------------------------------------------------

    def opened(self, event: ev.Opened) -> None:
        """A connection was opened."""
        process = self._processes.get(event.pid) if event.pid else None
        connection = Connection(event.conn, event.time, event.client, event.server, event.pid, process)
        answer = self._answers.pop(event.server[0], None)
        if answer is not None:
            connection.dns = (answer.asked, answer.time)
        connection.name = self._names.get(event.server[0], "")
        connection.udp, connection.foreign = event.udp, event.foreign
        self.open[event.conn] = connection

    def noted(self, event: ev.Noted) -> None:
        """A fact that packets do not show."""
        connection = self.open.get(event.conn)
        if connection is not None and len(connection.notes) < limits.NOTES_EACH:
            connection.notes.append(event)

    def established(self, event: ev.Established) -> None:
        """The server accepted."""
        connection = self.open.get(event.conn)
        if connection is not None:
            connection.established = event.time
            self.superseded(self.attempts.reached(connection, event.time))

    def tls(self, event: ev.TlsFacts) -> None:
        """What is known of its TLS session."""
        connection = self.open.get(event.conn)
        if connection is not None:
            connection.tls = event

    def certificates(self, event: ev.Certificates) -> None:
        """One side has sent its certificates."""
        connection = self.open.get(event.conn)
        if connection is not None:
            if event.chain not in self._chains and len(self._chains) >= _CHAINS:
                self._chains.clear()
            connection.certificates[event.side] = self._chains.setdefault(event.chain, event.chain)

    def protocol(self, event: ev.Protocol) -> None:
        """What it carries from here on."""
        connection = self.open.get(event.conn)
        if connection is not None:
            connection.protocol = event.name
            connection.through = connection.through or event.name.startswith("socks")

    def proxied(self, event: ev.Proxied) -> None:
        """A PROXY header."""
        connection = self.open.get(event.conn)
        if connection is not None:
            connection.proxied = (event.client, event.server)

    def encrypted(self, event: ev.Encrypted) -> None:
        """It was not decrypted."""
        connection = self.open.get(event.conn)
        if connection is not None:
            connection.encrypted = event

    def alert(self, event: ev.Alert) -> None:
        """A TLS alert."""
        connection = self.open.get(event.conn)
        if connection is None:
            return
        how, name = How.CLOSE_NOTIFY, ""
        if event.code:
            from hark.wire.tls import alert_name

            how, name = How.ALERT, alert_name(event.code)
        connection.alerts.append(Ending(event.side, how, event.time, name))

    def going_away(self, event: ev.GoingAway) -> None:
        """It was ended by GOAWAY with an error (HTTP/2)."""
        connection = self.open.get(event.conn)
        if connection is not None:
            connection.alerts.append(event.ending)

    def not_tls(self, event: ev.NotTls) -> Change | None:
        """A ClientHello was answered in another protocol."""
        connection = self.open.get(event.conn)
        if connection is None or connection.failed:
            return None
        connection.not_tls = event.protocol
        connection.failed = True
        return Failed(failing.not_tls(connection, event.protocol, event.time))

    # -- processes and names -------------------------------------------------------------------------------------------

    def process(self, event: Process) -> None:
        """What is known of a process, perhaps more than before."""
        old = self._processes.get(event.pid)
        self._processes[event.pid] = event
        if old is not None and old.start == event.start and old.cmdline == event.cmdline:
            for connection in self.open.values():  # the same process, better known
                if connection.process is old:
                    connection.process = event

    def names(self, event: Names) -> None:
        """Names that the recording has for addresses."""
        for address, name in event.entries:
            self._names.renew(address, name)

    def dns(self, event: ev.Dns) -> None:
        """A DNS question with its answer, or without one."""
        self.cross_linked = self.cross_linked or bool(event.conn)
        through = self.open.get(event.conn) if event.conn else None
        if through is not None:
            event = event._replace(pid=through.pid)
        for address in event.addresses:
            self._answers[address] = event
            self._names.renew(address, event.name)
        if event.addresses:
            self.superseded(self.attempts.resolved(event.pid, event.name, event.time))
        elif event.qtype in ("A", "AAAA"):  # a program can connect without any other record
            self._not_resolved(event)

    def _not_resolved(self, event: ev.Dns) -> None:
        no_address = event.rcode == "NOERROR"  # the name exists, and has no address of this family
        process = self._processes.get(event.pid) if event.pid else None
        kind = FailureKind.NAME_NOT_FOUND if no_address or event.rcode == "NXDOMAIN" else FailureKind.NAME_NO_ANSWER
        why = "no address" if no_address else event.rcode or "no answer"
        failure = Failure(kind, Phase.NAME, event.asked, event.time, why, process, event.pid, answer=event)
        self.fail(failure, no_address)
