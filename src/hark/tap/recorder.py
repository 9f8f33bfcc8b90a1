"""Writes blocks into the ring, frames without a copy.

What   All blocks but the packets that tun.py reads straight into the ring. Blocks for which the ring has no room are
       queued, because losing a secret would lose exchanges.
Limits QUEUE blocks are kept; past that the newest are dropped and counted, and the loss itself is recorded. The queue
       fills only while the decoder is a whole ring behind, when no packets are read from the devices either.
"""

from __future__ import annotations

import time
from collections import deque

from hark.recording import pcapng
from hark.recording.blocks import Block, Loss
from hark.recording.ring import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

QUEUE: Final = 65536


class Recorder:
    """Records into a ring."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self._queue: deque[bytes] = deque()
        self._dropped = 0
        self._write(pcapng.header())

    def _write(self, raw: bytes) -> None:
        if self._queue or not self.writer.write(raw):
            if len(self._queue) < QUEUE:
                self._queue.append(raw)
            else:
                self._dropped += 1

    def frame(self, data: bytes, pid: int = 0) -> None:
        """Record a packet that hark built or copied."""
        self._write(pcapng.frame(time.time_ns(), data, pid))

    def block(self, block: Block) -> None:
        """Record any other block."""
        self._write(pcapng.encode(block))

    def loss(self, what: str, count: int, why: str) -> None:
        """Record that something was lost: how many of what, and the reason."""
        self._write(pcapng.loss(Loss(time.time_ns(), what, count, why)))

    def catch_up(self) -> bool:
        """Write what waits; whether all of it is written."""
        while self._queue:
            if not self.writer.write(self._queue[0]):
                return False
            self._queue.popleft()
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self.loss("blocks", dropped, "the view was a whole buffer behind")
        return True

    def close(self) -> None:
        """End the recording: write what still waits, as long as somebody reads."""
        deadline = time.monotonic() + 5
        while not self.catch_up() and time.monotonic() < deadline:
            time.sleep(0.005)
        self.writer.close()
