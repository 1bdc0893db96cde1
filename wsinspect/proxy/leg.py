"""One taken socket: an asyncio Protocol in the place of mitmproxy's StreamReaderProtocol.

Every callback is a guard: a fault of ours never ends the connection, since asyncio closes a transport
whose callback raises. On a fault the relay goes blind for that direction and the same bytes pass.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from wsinspect.model import How, Side
from wsinspect.proxy import contract
from wsinspect.proxy.loop import straight_readers
from wsinspect.proxy.read_size import ReadSize
from wsinspect.proxy.sockets import (
    acked_bytes,
    errno_name,
    how_of,
    read_rest,
    reset_on_close,
    tcp_info,
    unacked_bytes,
)
from wsinspect.relay.ends import DRAIN_S, Finish

if TYPE_CHECKING:
    from wsinspect.proxy.takeover import Takeover
    from wsinspect.proxy.tls_pipe import Pipe

_DRAIN_POLL_S = 0.005
_SUDDEN = frozenset({How.RST, How.TIMEOUT, How.UNREACHABLE})


@dataclass(slots=True)
class PendingEnd:
    lost: bool = False
    """The transport is gone, rather than at EOF."""
    errno: int = 0


class Leg(asyncio.Protocol):
    """The socket that leads to `side`: what it sends comes in here, what it shall get goes out here."""

    __slots__ = (
        "_acked_before", "_draining_until", "_fd", "_finishing", "_straight", "_written", "came_to_end",
        "clear", "errno", "gone", "old", "peer", "pending", "pending_end", "pipe", "read_size", "side",
        "sock", "takeover", "transport",
    )  # fmt: skip

    def __init__(
        self, takeover: Takeover, side: Side, transport: asyncio.Transport, pipe: Pipe | None
    ) -> None:
        self.takeover = takeover
        self.side = side
        self.peer: Leg  # set by the takeover, once both legs exist
        self.transport = transport
        self.read_size = ReadSize(transport)
        self.old = cast("asyncio.Protocol | None", transport.get_protocol())
        """mitmproxy's protocol: told of the end, and of writability until the takeover is complete.

        None where the transport was closed before, and so told of it before.
        """
        self.sock: Any = transport.get_extra_info("socket")
        self._fd: int = self.sock.fileno()
        self._straight = straight_readers()
        self.clear = False
        """The outgoing half is open, and nothing that was sent waits in the transport."""
        self.pipe = pipe
        self.pending: list[bytes] | None = []
        """What arrives before the takeover is complete (as on the wire); None from then on."""
        self.pending_end: PendingEnd | None = None
        """An end before the takeover is complete."""
        self.came_to_end = False
        """EOF was read, or the socket failed."""
        self.gone = self.old is None
        """The transport is closed."""
        self.errno = 0
        """What the watcher saw; it outranks what asyncio says next."""
        self._finishing = False
        self._draining_until: float | None = None
        self._written = 0
        acked = acked_bytes(self.sock)
        waiting = transport.get_write_buffer_size() + unacked_bytes(self.sock)
        self._acked_before = None if acked is None else acked + waiting
        """What will have been acknowledged once all is that was written before the takeover."""

    # ------------------------------------------------------------------------------------------- reading

    def pause(self) -> None:
        self.transport.pause_reading()

    def resume(self) -> None:
        if not self.transport.is_closing():
            self._straight[self._fd] = self.read
            self.transport.resume_reading()

    def read(self) -> bool:
        """What is there, in the transport's place; False where that has to look: at the end."""
        try:
            data = os.read(self._fd, self.read_size.nbytes)
        except BlockingIOError:
            return True
        except OSError as exc:  # it came between the event and now: the next event is a hang-up
            self.socket_failed(exc.errno or 0)
            return True
        if not data:
            return False
        if self.pending is None and self.pipe is None:
            self.takeover.forward(self, data)  # one call less on the hot path
        else:
            self.data_received(data)
        return True

    # ------------------------------------------------------------------------------- asyncio's callbacks

    def data_received(self, data: bytes) -> None:
        if self.pending is not None:
            self.pending.append(data)
        elif self.pipe is not None:
            self._receive_tls(data)
        else:
            self.takeover.forward(self, data)

    def eof_received(self) -> bool:
        try:
            if self.pending is not None:
                self.pending_end = PendingEnd()
            elif self.errno or not self.came_to_end:
                self._at_end(self.errno)
            else:  # said already, as the end of a tunnel
                self.close_when_done()
        except Exception as exc:
            self.takeover.fault(self, exc)
            self.came_to_end = True
            self.peer.finish(Finish.RST if self.errno else Finish.FIN)
            self.close_when_done()
        return True  # the other direction may go on: a half-close is no end of the connection

    def connection_lost(self, exc: Exception | None) -> None:
        try:
            number = self.errno or (exc.errno if isinstance(exc, OSError) else 0) or 0
            rest = read_rest(self.sock) if exc is not None and not self.came_to_end else b""
            if rest:
                self.data_received(rest)
            if self.pending is not None:
                self.pending_end = PendingEnd(lost=True, errno=number)
            elif exc is not None and not self.came_to_end:
                self._at_end(number, lost=True)
            self.takeover.watcher.forget(self.sock)
        except Exception as fault:
            self.takeover.fault(self, fault)
        finally:
            self._straight.pop(self._fd, None)
            self.gone, self.clear = True, False
            self.takeover.leg_gone(self, exc)

    def pause_writing(self) -> None:
        try:
            self.takeover.pause_reading(self.peer)
            if self.pending is not None and self.old is not None:
                self.old.pause_writing()
        except Exception as exc:  # asyncio buffers on
            self.takeover.fault(self.peer, exc)

    def resume_writing(self) -> None:
        try:
            self.takeover.resume_reading(self.peer)
            if self.pending is not None and self.old is not None:
                self.old.resume_writing()
        except Exception as exc:
            self.takeover.fault(self.peer, exc)
            self.peer.resume()

    def go_live(self) -> None:
        """The takeover is complete: what came meanwhile is replayed, then reading goes on."""
        pending, self.pending = self.pending, None
        if self.pipe is not None and self.pipe.shut:
            self._ended(How.CLOSE_NOTIFY)
        for data in pending or ():
            self.data_received(data)
        end = self.pending_end
        if end is None and self.pipe is not None and self.pipe.tunnel_over:
            end = PendingEnd()
        if end is None:
            if self.errno:
                self.takeover.read_on(self)
        elif end.lost or end.errno or self.errno or not self.came_to_end:
            self._at_end(end.errno or self.errno, lost=end.lost)

    def ended_early(self, reader: asyncio.StreamReader) -> None:
        """mitmproxy saw the end before the takeover did: its TLS a close_notify, or its reader EOF."""
        pipe = self.pipe
        if pipe is not None and (pipe.shut or pipe.tunnel_over) and not contract.at_eof(reader):
            return  # go_live says it; TCP is still open
        if not self.came_to_end:
            self.pending_end = self.pending_end or PendingEnd()

    def gone_early(self, reader: asyncio.StreamReader) -> None:
        """The socket was closed before the takeover: what mitmproxy's reader held is still forwarded."""
        failure = reader.exception()
        rest = contract.rest_of(reader) if failure is not None else b""  # else its read task has taken all
        if rest and self.pending is not None:
            self.pending.append(rest)
        number = failure.errno if isinstance(failure, OSError) and failure.errno else 0
        self.pending_end = PendingEnd(lost=failure is not None, errno=number)

    def is_ending(self) -> bool:
        """The outgoing half has ended, so that this leg will go by itself."""
        return self._finishing or self.gone or self.transport.is_closing()

    def give_back(self) -> None:
        """The takeover failed: the old protocol comes back and hears what came meanwhile."""
        pending, self.pending = self.pending, None
        if self.old is None:
            return  # it was closed before, and mitmproxy knows
        if not self.gone:
            self.transport.set_protocol(self.old)
        for data in pending or ():
            self.old.data_received(data)
        if self.gone or (self.pending_end is not None and self.pending_end.lost):
            reset = self.pending_end is not None and self.pending_end.errno
            self.old.connection_lost(ConnectionResetError() if reset else None)
        elif self.pending_end is not None:
            self.old.eof_received()
        if not self.transport.is_closing():
            self.transport.resume_reading()

    # ------------------------------------------------------------------------------------------- outwards

    def write(self, data: bytes) -> None:
        """Bytes for this side. What cannot be delivered any more is counted by the takeover."""
        if self._finishing or self.transport.is_closing():
            self.takeover.undelivered(self, len(data))
            if self.gone and self.peer._draining_until is None:
                self.peer.abort()  # as a kernel answers data for a socket that is closed
        elif self.pipe is None:
            self.send(data)
        elif records := self.pipe.encrypt(data):
            self.send(records)
        else:  # TLS has said its last word on this leg
            self.takeover.undelivered(self, len(data))

    def send(self, data: bytes | memoryview) -> None:
        """Bytes as they are on the wire; straight to the kernel where that is `clear`, in half the time."""
        if not self.clear:
            self._written += len(data)
            self.transport.write(data)
            self.clear = not self.transport.get_write_buffer_size() and not self.is_ending()
            return
        try:
            sent = os.write(self._fd, data)
        except OSError:
            sent = 0  # it is full, or has failed: the transport finds out for itself
        self._written += sent
        if sent != len(data):
            self.clear = False
            if self.transport.is_closing():
                self.takeover.undelivered(self, len(data) - sent)
            else:
                self.send(memoryview(data)[sent:])

    def finish(self, finish: Finish) -> None:
        """End the outgoing half as the table of ends says."""
        if self.gone or self.transport.is_closing() or self._draining_until is not None:
            return
        match finish:
            case Finish.CLOSE_NOTIFY:
                if self.pipe is not None and not self._finishing:
                    self.send(self.pipe.close_notify())
            case Finish.FIN:
                self._finishing, self.clear = True, False
                try:
                    self.transport.write_eof()
                except OSError:
                    pass  # reset meanwhile: connection_lost or the watcher brings the errno
                self.close_when_done()
            case Finish.RST:
                self._finishing, self.clear = True, False
                self.pause()
                self._draining_until = time.monotonic() + DRAIN_S
                self._drain_then_reset()

    def close_when_done(self) -> None:
        """Close the descriptor once both halves have ended; what is still buffered goes out first."""
        if self.came_to_end and self._finishing and self._draining_until is None and not self.gone:
            self.transport.close()

    def abort(self) -> None:
        """RST now."""
        if not self.gone:
            self.clear = False
            reset_on_close(self.sock)
            self.transport.abort()

    def let_go(self) -> None:
        """Close now, whatever is still buffered; the kernel says what follows from it."""
        if not self.gone:
            self.clear = False
            self.transport.abort()

    def socket_failed(self, number: int) -> None:
        """From the watcher. What the peer sent before is still read, unless EOF was seen already."""
        self.errno = self.errno or number
        if self.pending is not None or self.gone:
            return
        try:
            if self.came_to_end or self.transport.is_closing():
                self._after_eof(number)
            else:
                self.takeover.read_on(self)
        except Exception as exc:
            self.takeover.fault(self, exc)
            self.peer.finish(Finish.RST)
            self.abort()

    # ------------------------------------------------------------------------------------------- inwards

    def _receive_tls(self, data: bytes) -> None:
        pipe = self.pipe
        assert pipe is not None
        if self.came_to_end and pipe.alert:
            return  # said already; TLS has no more to say
        try:
            plain = pipe.decrypt(data)
            reply = pipe.replies()
            if reply and not self._finishing and not self.transport.is_closing():
                self.send(reply)
        except Exception as exc:  # nothing readable is left to fall back to
            self.takeover.fault(self, exc)
            self.takeover.stop()
            return
        if plain:
            self.takeover.forward(self, plain)
        try:
            if pipe.alert is not None:
                self._at_alert(pipe.alert)
                return
            if pipe.notified and not self.takeover.saw_close_notify(self):
                self._ended(How.CLOSE_NOTIFY)
            if pipe.tunnel_over and not self.came_to_end:
                self._at_end(self.errno)
        except Exception as exc:
            self.takeover.fault(self, exc)
            self.peer.finish(Finish.RST if pipe.alert is not None else Finish.FIN)

    def _at_alert(self, name: str) -> None:
        """A fatal alert from the peer, or a record that cannot be read: TLS is over (RFC 8446 6.2)."""
        self.came_to_end = True
        self._ended(How.ALERT, detail=name)
        self.finish(Finish.RST)  # behind the alert that we may have answered with

    def _at_end(self, number: int, *, lost: bool = False) -> None:
        """EOF or failure, once all that came before it has been forwarded."""
        self.came_to_end = True
        if number:
            self._ended(how_of(number), errno=errno_name(number))
            if not lost:
                self.abort()
        else:
            self._ended(How.RST if lost else How.FIN)
            self.close_when_done()

    def _after_eof(self, number: int) -> None:
        """A reset behind a FIN: asyncio has stopped looking, so the transport is told."""
        self._ended(how_of(number), errno=errno_name(number))
        self.abort()

    def _ended(self, how: How, *, errno: str | None = None, detail: str = "") -> None:
        discarded = self._unacknowledged() if how in _SUDDEN else 0
        info = tcp_info(self.sock)
        self.takeover.ended(self, how, errno=errno, detail=detail, info=info, discarded=discarded)

    def _unacknowledged(self) -> int:
        """Of what was written to this side since the takeover (TLS records included). 0 where unknown."""
        acked = acked_bytes(self.sock)
        if acked is None or self._acked_before is None:
            return 0
        return max(0, self._written - max(0, acked - self._acked_before))

    def _drain_then_reset(self) -> None:
        """Wait until what was written is acknowledged: a reset overtakes the rest [measured]."""
        if self.gone:
            return
        left = self.transport.get_write_buffer_size() + unacked_bytes(self.sock)
        assert self._draining_until is not None
        if left and time.monotonic() < self._draining_until:
            self.takeover.later(_DRAIN_POLL_S, self._drain_then_reset)
            return
        if left:
            self.takeover.undelivered(self, left)
        self.abort()
