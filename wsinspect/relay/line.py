"""The wire of one direction as rules have spoiled it: slow, in pieces, black, or at its end after so much.

Bytes and ends go through it strictly in order. Where nothing was spoiled it lets all pass at once.
"""

from __future__ import annotations

import enum
import random
from collections import deque

from wsinspect.model.plans import Slice
from wsinspect.relay.direction import Output

_QUANTUM_S = 0.01
"""A throttled line lets through what it may carry in that time, at once."""
_CREDIT_NS = 100_000_000
"""A timer may come so late without costing the line its rate."""


STALL_KEPT = 4 << 20
"""Bytes that a stall for good swallows and still has, for when its rule is taken away."""
_EACH = 64
"""Of memory that each piece takes beside its bytes."""


class Swallow(enum.Enum):
    """What goes nowhere."""

    NOTHING = "nothing"
    BYTES = "bytes"
    """The sender's end still passes."""
    ALL = "all"
    """The receiver never hears of the sender's end: a half-open connection."""


class Line:
    """Takes outputs and gives them out when their time has come."""

    def __init__(self) -> None:
        self.swallow = Swallow.NOTHING
        self.swallowed_bytes = 0
        self.swallowed_end = False
        """The sender has ended, and the receiver will not hear of it."""
        self.kept_bytes = 0
        self.limit_left: int | None = None
        """Bytes that may still go; at 0 `used_up`."""
        self.stalled_until_ns = 0
        self.bytes_per_s: float | None = None
        self._slice: Slice | None = None
        self._rng = random.Random(0)
        self._queue: deque[Output] = deque()
        self._start = 0
        """Of the first bytes in the queue what has gone out."""
        self._swallowed: list[Output] | None = None
        """What `lift` brings back; None: what was swallowed is gone."""
        self._swallowed_size = 0
        self._finished = False
        """Nothing but an end follows what was put."""
        self._free_ns = 0
        """When the next piece may go."""

    @property
    def used_up(self) -> bool:
        """The limit of bytes is reached."""
        return self.limit_left == 0

    @property
    def plain(self) -> bool:
        """It need not be there: nothing is spoiled, and nothing waits."""
        return not (
            self._queue or self._slice or self.bytes_per_s is not None or self.limit_left is not None
            or self.stalled_until_ns or self.swallow is not Swallow.NOTHING or self._finished
        )  # fmt: skip

    @property
    def has_end(self) -> bool:
        """The sender's end waits in it."""
        return any(not isinstance(each, bytes) for each in self._queue)

    @property
    def next_ns(self) -> int | None:
        """When the next piece may go; None: nothing waits."""
        return max(self._free_ns, self.stalled_until_ns) if self._queue else None

    def catch_up(self) -> None:
        """What waits need not wait for what the line was so far."""
        self._free_ns = 0

    def set_slice(self, wanted: Slice | None) -> None:
        """Cut what goes out from here on into pieces; None: no more."""
        self._slice = wanted
        self._rng = random.Random(wanted.seed if wanted is not None else 0)

    def black_out(self, swallow: Swallow, *, keep: bool = False) -> None:
        """From here on this goes nowhere, nor does what waits. `keep`: `lift` can undo it."""
        if not keep:
            self._swallowed = None
        elif self.swallow is Swallow.NOTHING:
            self._swallowed, self._swallowed_size = [], 0
        self.swallow = swallow
        for each in self.rest():
            self.put(each)

    def lift(self) -> bool:
        """What was swallowed goes on, and what comes. False where it is gone: nothing can follow it."""
        if self.swallow is Swallow.NOTHING:
            return True
        if self._swallowed is None:
            return False
        self.swallow, self.swallowed_end = Swallow.NOTHING, False
        self._queue += self._swallowed
        self.kept_bytes += sum(len(each) for each in self._swallowed if isinstance(each, bytes))
        self._swallowed = None
        return True

    def finish(self) -> None:
        """Nothing but an end follows what has been put; what is on its way still goes."""
        self._finished = True

    def put(self, output: Output) -> None:
        """Next in order."""
        if isinstance(output, bytes):
            if self._finished:
                self.swallowed_bytes += len(output)
            elif self.swallow is Swallow.NOTHING:
                self.kept_bytes += len(output)
                self._queue.append(output)
            else:
                self.swallowed_bytes += len(output)
                self._keep(output, len(output))
        elif self.swallow is Swallow.ALL:
            self.swallowed_end = True
            self._keep(output, 0)
        else:
            self._swallowed = None  # it has overtaken that
            self._queue.append(output)

    def _keep(self, output: Output, size: int) -> None:
        if self._swallowed is None:
            return
        self._swallowed.append(output)
        self._swallowed_size += size + _EACH
        if self._swallowed_size > STALL_KEPT:
            self._swallowed = None

    def flow(self, now_ns: int, out: list[Output]) -> None:
        """Move to `out` what may go by now."""
        if self.stalled_until_ns:
            if now_ns < self.stalled_until_ns:
                return
            self.stalled_until_ns = 0
        while self._queue and now_ns >= self._free_ns and not self.used_up:
            head = self._queue[0]
            if not isinstance(head, bytes):
                out.append(self._queue.popleft())
                continue
            size = self._piece(len(head) - self._start)
            out.append(head if size == len(head) else head[self._start : self._start + size])
            self._start += size
            if self._start == len(head):
                self._queue.popleft()
                self._start = 0
            self._account(size, now_ns)

    def rest(self) -> list[Output]:
        """What waits, in order; it is let go of."""
        waiting: list[Output] = [*self._queue]
        if waiting and isinstance(waiting[0], bytes):
            waiting[0] = waiting[0][self._start :]
        self._queue.clear()
        self._start = self.kept_bytes = self._free_ns = 0
        return waiting

    def _piece(self, size: int) -> int:
        """How much of so many bytes goes at once."""
        if self._slice is not None:
            spread = self._slice.variation_bytes
            size = min(size, max(1, self._slice.average_bytes + self._rng.randint(-spread, spread)))
        if self.bytes_per_s is not None:
            size = min(size, max(1, int(self.bytes_per_s * _QUANTUM_S)))
        return size if self.limit_left is None else min(size, self.limit_left)

    def _account(self, size: int, now_ns: int) -> None:
        self.kept_bytes -= size
        if self.limit_left is not None:
            self.limit_left -= size
        begin = self._free_ns if self._free_ns > now_ns - _CREDIT_NS else now_ns
        if self.bytes_per_s is not None:
            begin += round(size / max(self.bytes_per_s, 1e-3) * 1e9)
        if self._slice is not None:
            begin += self._slice.delay_us * 1000
        self._free_ns = begin
