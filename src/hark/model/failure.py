"""Failures: connections that failed, connections that could not be decrypted, names that were not resolved.

Why    One value for every view, filter and export. It is a named tuple because dataclasses are slow to load.
May hold: the kinds, the value and what follows from it. May not hold: layout for people, advice (views/advice.py).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hark.decode.endings import Ending, Phase
    from hark.decode.events import Dns
    from hark.decode.undecrypted import Undecrypted
    from hark.model.entry import Entry
    from hark.model.exchange import Connection
    from hark.recording.blocks import Process


class FailureKind(StrEnum):
    """The kinds, by their names in JSON (`_failure.kind`)."""

    NAME_NOT_FOUND = "name-not-found"  # the resolver answered so: NXDOMAIN, or no address of either family
    NAME_NO_ANSWER = "name-no-answer"  # no resolver answered, or it failed (SERVFAIL, REFUSED)
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no-answer"  # no packet came back for the SYN
    NOT_TLS = "not-tls"  # a ClientHello was answered in another protocol
    TLS_SILENT = "tls-silent"  # a ClientHello was not answered
    CERTIFICATE_REJECTED = "certificate-rejected"  # by an alert, or by closing right after the certificate
    TLS_FAILED = "tls-failed"  # the handshake ended by an alert or by a close
    CLOSED_BEFORE_REQUEST = "closed-before-request"  # connected (and TLS complete), and closed without a request
    RESET = "reset"  # connected, and reset before a request
    ENCRYPTED = "encrypted"  # TLS or QUIC that could not be decrypted
    BROKEN = "broken"  # the data violates the protocol


class Failure(NamedTuple):
    """One failure. Times are ns since the epoch."""

    kind: FailureKind
    phase: Phase
    started: int  # when the program began to wait
    time: int  # when it was over
    why: str  # a clause for people: what happened, and who ended it
    process: Process | None = None
    pid: int = 0
    connection: Connection | None = None  # None for a name
    answer: Dns | None = None  # of a name
    ending: Ending | None = None
    seen: str = ""  # the last thing seen, such as the certificate; "" if `why` has it
    size: int = 0  # bytes of ciphertext that were not decrypted
    version: str = ""  # of TLS or QUIC, where known
    entry: Entry | None = None  # that it was read from, completed; None if it was captured
    undecrypted: Undecrypted | None = None  # why, if it was not decrypted; None if that is not known

    @property
    def host(self) -> str:
        """The host by name if it is known, else by address."""
        if self.answer is not None:
            return self.answer.name
        connection = self.connection
        assert connection is not None
        sni = connection.tls.sni if connection.tls is not None else ""
        return sni or connection.name or connection.server[0]

    @property
    def port(self) -> int:
        """The server's port; 0 for a name."""
        return self.connection.server[1] if self.connection is not None else 0

    @property
    def seconds(self) -> float:
        """How long the program waited."""
        return max(self.time - self.started, 0) / 1e9
