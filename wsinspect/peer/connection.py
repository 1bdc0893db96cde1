"""An open WebSocket connection, on either side.

It is tolerant on purpose: what a peer does wrong stands in `Frame.violations`, and the connection goes on;
whatever bytes a test or a probe wants on the wire, `send_frame` and `write_raw` put there.

    receive()   Message, or Frame (control), in the order of the wire; None at the end
    send()      text or binary, fragmented and compressed as asked
    close()     the closing handshake    ·  drop()   FIN without Close   ·  abort()   RST
    write_eof() half-close               ·  ends     how the peer ended, with evidence
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self

from wsinspect.errors import TimedOut
from wsinspect.model import Address, Frame, Header, How, Message, Opcode, Side
from wsinspect.peer.errors import ConnectionEnded
from wsinspect.peer.inbox import Inbox
from wsinspect.peer.options import Agreement, Options
from wsinspect.peer.outgoing import Outgoing
from wsinspect.peer.stream import End, Stream
from wsinspect.wire.close_codes import encode_close, parse_close
from wsinspect.wire.frames import FrameDecoder, encode_frame
from wsinspect.wire.messages import MessageAssembler

NO_CODE = 1005
NO_CLOSE = 1006


class Connection:
    """One side of an open connection. Made by `connect`, or handed to the handler of `serve`."""

    def __init__(self, stream: Stream, side: Side, agreement: Agreement, options: Options) -> None:
        self.side = side
        """Whom we are."""
        self.stream = stream
        self.options = options
        self.request = agreement.request
        self.response = agreement.response
        self.subprotocol = agreement.subprotocol
        self.deflate = agreement.deflate
        self.close_sent: tuple[int | None, str] | None = None
        self.close_received: tuple[int | None, str] | None = None
        self._raw = bytearray()
        self._outgoing = Outgoing(side, agreement.deflate)
        self._decoder = FrameDecoder(
            side.other, rsv_allowed=agreement.rsv_allowed, max_payload=options.max_message_bytes
        )
        self._assembler = MessageAssembler(
            side.other, agreement.deflate, max_message=options.max_message_bytes
        )
        self._inbox = Inbox()
        self._close_arrived = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._lossy = False  # we are ending: reading must go on though nobody takes what arrives
        self._unanswered_ping: bytes | None = None
        self._pump = asyncio.create_task(self._run(), name=f"{side.word} of {self.request.target}")

    # ------------------------------------------------------------------------------------------ what it is

    @property
    def local(self) -> Address:
        """Our IP address and port."""
        return self.stream.local

    @property
    def remote(self) -> Address:
        """The peer's (or the proxy's) IP address and port."""
        return self.stream.remote

    @property
    def response_headers(self) -> list[Header]:
        """The 101's, as they stood on the wire."""
        return self.response.headers

    @property
    def auto_pong(self) -> bool:
        """Whether each Ping is answered."""
        return self.options.auto_pong

    @auto_pong.setter
    def auto_pong(self, value: bool) -> None:
        self.options.auto_pong = value

    @property
    def auto_close(self) -> bool:
        """Whether a Close is answered by a Close and the end of TCP, and a FIN by a FIN."""
        return self.options.auto_close

    @auto_close.setter
    def auto_close(self, value: bool) -> None:
        self.options.auto_close = value

    @property
    def raw_received(self) -> bytearray:
        """All bytes received after the handshake. Raises RuntimeError unless made with `keep_raw=True`."""
        if not self.options.keep_raw:
            raise RuntimeError("the bytes were not kept: connect or serve with keep_raw=True")
        return self._raw

    @property
    def dropped(self) -> int:
        """Messages and control frames received while closing, and dropped since nobody took them."""
        return self._inbox.dropped

    @property
    def ends(self) -> list[End]:
        """How the peer ended, in order (close_notify, then FIN); empty while it has not, or we were first."""
        return self.stream.ends

    @property
    def ended(self) -> How | None:
        """By which mechanism the peer ended first; None while it has not, or where we ended first."""
        ends = self.stream.ends
        return ends[0].how if ends else None

    @property
    def close_code(self) -> int | None:
        """The peer's: 1005 for a Close without code, 1006 for an end without Close, None while open."""
        if self.close_received is not None:
            return NO_CODE if self.close_received[0] is None else self.close_received[0]
        return NO_CLOSE if self._inbox.ended else None

    @property
    def close_reason(self) -> str:
        """The peer's close reason, or nothing."""
        return self.close_received[1] if self.close_received else ""

    # -------------------------------------------------------------------------------------------- receiving

    async def receive(self, timeout_s: float | None = None) -> Message | Frame | None:
        """The next message or control frame; None once the peer's stream has ended (or ours was given up).

        Raises TimedOut; nothing is lost by it, nor by cancelling.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._inbox.get()
        except TimeoutError:
            raise TimedOut(f"nothing arrived within {timeout_s:g} s") from None

    async def receive_message(self, timeout_s: float | None = None) -> Message | None:
        """The next message, control frames left out; None at the end. Raises TimedOut."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    item = await self._inbox.get()
                    if item is None or isinstance(item, Message):
                        return item
        except TimeoutError:
            raise TimedOut(f"no message arrived within {timeout_s:g} s") from None

    async def __aiter__(self) -> AsyncIterator[Message]:
        while (message := await self.receive_message()) is not None:
            yield message

    async def wait_ended(self, timeout_s: float | None = None) -> How | None:
        """Wait until the peer's stream has ended and all of it was read; `ended`. Raises TimedOut.

        What arrives meanwhile stays for `receive`, up to the inbox's limit; beyond it the oldest is dropped.
        """
        await self._inbox.wait_ended(timeout_s)
        return self.ended

    async def _run(self) -> None:
        try:
            while data := await self.stream.read():
                self._feed(data)
                if self._lossy:
                    self._inbox.make_room()
                await self._inbox.wait_room()
        except BaseException:
            self.stream.close()
            raise
        finally:
            self._inbox.end()
            self._close_arrived.set()
        if self.options.auto_close:
            await self._end_tcp()

    def _feed(self, data: bytes) -> None:
        if self.options.keep_raw:
            self._raw += data
        for frame in self._decoder.receive(data):
            message = None if frame.is_control else self._assembler.receive(frame)
            if self.options.on_frame is not None:
                self.options.on_frame(frame)
            if frame.is_control:
                self._control(frame)
                self._inbox.put(frame)
            elif message is not None:
                self._inbox.put(message)

    def _control(self, frame: Frame) -> None:
        if frame.opcode == Opcode.PING and self.options.auto_pong:
            self._unanswered_ping = frame.payload
            self._pong_if_room()
        elif frame.opcode == Opcode.CLOSE and self.close_received is None:
            code, reason, _ = parse_close(frame.payload)
            self.close_received = (code, reason)
            self._close_arrived.set()
            if self.options.auto_close:
                self._answer_close(frame)

    def _pong_if_room(self) -> None:
        """Answer the latest Ping, unless the peer does not read: then its Pongs must not pile up here."""
        if self._unanswered_ping is not None and not self.stream.congested and self.close_sent is None:
            payload, self._unanswered_ping = self._unanswered_ping, None
            self._write_if_possible(self._outgoing.frame(Opcode.PONG, payload[:125]))

    def _answer_close(self, frame: Frame) -> None:
        assert self.close_received is not None
        if self.close_sent is None:
            self.close_sent = self.close_received
            self._write_if_possible(self._outgoing.frame(Opcode.CLOSE, frame.payload[:125]))
        self._ending = asyncio.create_task(self._end_tcp(), name="end of TCP after a Close")

    def _write_if_possible(self, data: bytes) -> None:
        try:
            self.stream.write(data)
        except ConnectionEnded:
            pass

    # ---------------------------------------------------------------------------------------------- sending

    async def send(
        self,
        data: str | bytes,
        *,
        fragments: int | Sequence[int] | None = None,
        compress: bool | None = None,
    ) -> None:
        """Send a text or binary message, and wait while much is unsent.

        `fragments`: so many frames, or frames of those sizes (on the wire) and one with the rest.
        `compress`: None where agreed, False never; True raises ValueError where it was not agreed.
        Raises ConnectionEnded.
        """
        self._check_close_sent()
        await self.write_raw(self._outgoing.message(data, fragments=fragments, compress=compress))

    async def send_frame(
        self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = None
    ) -> None:
        """Send one frame as it is told, legal or not; a client's is masked at random unless `mask` is given.

        `mask=b""` sends it without mask. Raises ConnectionEnded.
        """
        if mask is None:
            data = self._outgoing.frame(opcode, payload, fin=fin, rsv=rsv)
        else:
            data = encode_frame(opcode, payload, fin=fin, rsv=rsv, mask=mask or None)
        if opcode == Opcode.CLOSE and self.close_sent is None:
            code, reason, _ = parse_close(payload)
            self.close_sent = (code, reason)
        await self.write_raw(data)

    async def ping(self, payload: bytes | None = None) -> bytes:
        """Send a Ping (with four random bytes unless told) and return its payload. Raises ConnectionEnded."""
        self._check_close_sent()
        data = os.urandom(4) if payload is None else payload
        await self.send_frame(Opcode.PING, data)
        return data

    async def pong(self, payload: bytes = b"") -> None:
        """Send a Pong. Raises ConnectionEnded."""
        self._check_close_sent()
        await self.send_frame(Opcode.PONG, payload)

    async def write_raw(self, data: bytes) -> None:
        """Put bytes on the wire as they are, and wait while much is unsent. Raises ConnectionEnded."""
        self.stream.write(data)
        await self.stream.drain()
        self._pong_if_room()

    def _check_close_sent(self) -> None:
        if self.close_sent is not None:
            raise ConnectionEnded("a Close was sent already")

    # --------------------------------------------------------------------------------------------------- end

    async def close(
        self, code: int | None = 1000, reason: str = "", *, timeout_s: float | None = None
    ) -> None:
        """The closing handshake: Close, the peer's Close, the end of TCP (the server's first). Never fails.

        What the peer leaves undone within `timeout_s` (`options.close_timeout_s`) is cut short; the
        evidence stands in `close_received` and `ends`. Raises ValueError for a reason over 123 bytes.
        """
        payload = encode_close(code, reason)
        if len(payload) > 125:
            raise ValueError("a close reason has at most 123 bytes")
        try:
            async with asyncio.timeout(self.options.close_timeout_s if timeout_s is None else timeout_s):
                if self.close_sent is None and not self._inbox.ended:
                    self.close_sent = (code, reason)
                    self._write_if_possible(self._outgoing.frame(Opcode.CLOSE, payload))
                self._let_go()
                await self._close_arrived.wait()
                await self._end_tcp()
        except TimeoutError:
            pass
        finally:
            await self._give_up()

    async def drop(self, *, close_notify: bool = True, timeout_s: float | None = None) -> None:
        """End without a Close frame: FIN (after close_notify over TLS), then wait for the peer's end."""
        try:
            async with asyncio.timeout(self.options.close_timeout_s if timeout_s is None else timeout_s):
                self.stream.write_eof(close_notify=close_notify)
                self._let_go()
                await self.stream.wait_ended()
        except TimeoutError:
            pass
        finally:
            await self._give_up()

    def write_eof(self, *, close_notify: bool = True) -> None:
        """End our side only (FIN) and go on reading; over TLS with a close_notify unless told otherwise."""
        self.stream.write_eof(close_notify=close_notify)

    def abort(self) -> None:
        """RST at once (SO_LINGER 0); what is unsent is dropped."""
        self.stream.reset()
        self._let_go()

    async def wait_closed(self) -> None:
        """Wait until the socket is given up: after the peer's end with `auto_close`, or after our own."""
        await asyncio.wait([self._pump])

    async def _end_tcp(self) -> None:
        """End TCP, the server first (RFC 6455 section 7.1.1); give the socket up within the close timeout."""
        try:
            async with asyncio.timeout(self.options.close_timeout_s):
                if self.side is Side.CLIENT and not self._inbox.ended:
                    await self.stream.wait_ended()
                self.stream.write_eof()
                await self.stream.flush()
                await self.stream.wait_ended()
        except TimeoutError:
            pass
        self.stream.close()

    def _let_go(self) -> None:
        self._lossy = True
        self._inbox.make_room()

    async def _give_up(self) -> None:
        self.stream.close()
        self._let_go()
        if self._pump is not asyncio.current_task():
            await asyncio.wait([self._pump])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close: 1000, or 1001 where the task was cancelled, or 1011 where something else was raised."""
        going_away = isinstance(error, asyncio.CancelledError)
        await self.close(1000 if error is None else 1001 if going_away else 1011)
