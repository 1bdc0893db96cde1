"""A session with both ends in hand, and a clock that stands until a test moves it."""

from __future__ import annotations

import itertools
from typing import Any

from tests.relay.judges import Script
from wsinspect.capture.timeline import Event, MessageEvent, Timeline
from wsinspect.model import FactRecord, Gap, Header, How, Judged, Notice, Opened, Read, Record, Sent, Side
from wsinspect.relay.commands import Answer, Command, Inject
from wsinspect.relay.direction import Output
from wsinspect.relay.session import Session
from wsinspect.wire.deflate import DeflateParams, Deflater
from wsinspect.wire.extensions import negotiated
from wsinspect.wire.frames import FrameDecoder, encode_frame
from wsinspect.wire.messages import MessageAssembler

C, S = Side.CLIENT, Side.SERVER
KEY = b"\x11\x22\x33\x44"
MS = 1_000_000


class Play:
    """What each side gets is in `got`; what the capture gets is in `records`, in order with it in `steps`."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        deflate: DeflateParams | None = None,
        opening: bool = False,
        attended: bool = False,
        **kwargs: bool,
    ) -> None:
        self.session = Session(7, **kwargs)
        self.now_ns = 0
        self.records: list[Record] = []
        self.got: dict[Side, list[Output]] = {C: [], S: []}
        self.headers: list[Header] = []
        if deflate is not None:
            self.headers = [("Sec-WebSocket-Extensions", deflate.header())]
        self.params = deflate
        self.deflaters = [
            Deflater(deflate.window_bits(side), no_context_takeover=deflate.no_context_takeover(side))
            if deflate
            else None
            for side in Side
        ]
        self._keys = itertools.count(1)
        self.session.attend(attended, 0)
        if script is not None:
            self.judge(script, opening=opening)

    def judge(self, script: Script | None, *, opening: bool = False) -> None:
        self.session.set_judge(
            script, self.now_ns, agreed=negotiated(self.headers), new_key=self.new_key, opening=opening
        )
        self.turn()

    def new_key(self) -> bytes:
        return b"K" + next(self._keys).to_bytes(3)

    def turn(self) -> None:
        """What a shell does after each step."""
        for _ in range(2):
            self.records += self.session.take_records()
            for side in Side:
                self.got[side] += self.session.take_output(side)
            self.session.settle(self.now_ns)

    def receive(self, side: Side, data: bytes) -> None:
        self.session.receive(side, data, self.now_ns)
        self.turn()

    def say(self, side: Side, text: str | bytes, opcode: int = 1, *, sizes: tuple[int, ...] = ()) -> bytes:
        """That side sends a message, compressed if that was agreed; returns its frames."""
        payload = text.encode() if isinstance(text, str) else text
        deflater = self.deflaters[side]
        data = frames(
            side, deflater.deflate(payload) if deflater else payload, opcode, 4 if deflater else 0, sizes
        )
        self.receive(side, data)
        return data

    def end(self, side: Side, how: How = How.FIN, **values: Any) -> None:
        self.session.end(side, how, self.now_ns, **values)
        self.turn()

    def wait(self, ms: float) -> None:
        """Time passes; the session is woken whenever it wants to be."""
        until_ns = self.now_ns + round(ms * MS)
        while (due_ns := self.session.next_wake_ns) is not None and due_ns <= until_ns:
            assert due_ns >= self.now_ns or due_ns == 0, "a time that has passed already"
            self.now_ns = max(due_ns, self.now_ns)
            self.session.wake(self.now_ns)
            self.turn()
            after = self.session.next_wake_ns
            assert after is None or after > self.now_ns, "woken in vain"
        self.now_ns = until_ns

    def command(self, command: Command) -> Answer:
        answer = self.session.command(command, self.now_ns)
        self.turn()
        return answer

    def inject(self, side: Side, opcode: int = 1, payload: bytes = b"injected") -> Answer:
        return self.command(Inject(side, opcode, payload, KEY if side is C else None))

    # ------------------------------------------------------------------------------------------ what it shows

    def bytes_to(self, side: Side) -> bytes:
        return b"".join(each for each in self.got[side] if isinstance(each, bytes))

    def ends_to(self, side: Side) -> list[Output]:
        return [each for each in self.got[side] if not isinstance(each, bytes)]

    def texts_to(self, side: Side) -> list[str]:
        """The messages and control frames that side gets, as a strict peer reads them."""
        return arrived(self.bytes_to(side), side.other, self.params)

    def facts[T](self, kind: type[T]) -> list[T]:
        return [r.fact for r in self.records if isinstance(r, FactRecord) and isinstance(r.fact, kind)]

    def codes(self) -> list[str]:
        return [notice.code for notice in self.facts(Notice)]

    def sent(self) -> list[Sent]:
        return [record for record in self.records if isinstance(record, Sent)]

    def outcomes(self) -> list[str]:
        return [fact.outcome.value for fact in self.facts(Judged)]

    def kinds(self) -> list[str]:
        """The records in order, each in a word."""
        return [
            record.fact.kind if isinstance(record, FactRecord) else type(record).__name__.lower()
            for record in self.records
        ]

    def events(self) -> list[Event]:
        """What a reader of the capture sees."""
        timeline = Timeline()
        opened: Record = FactRecord(7, 0, Opened(headers=self.headers))
        return [event for record in [opened, *self.records] for event in timeline.feed(record)]

    def captured(self, side: Side) -> list[bytes]:
        """The messages of that side in the capture, without ours."""
        return [
            event.message.payload
            for event in self.events()
            if isinstance(event, MessageEvent) and event.side is side and not event.message.lost
            and event.message.first_frame
        ]  # fmt: skip

    def raw_capture(self) -> bytes:
        """Every byte of traffic that is in the capture."""
        return b"".join(record.data for record in self.records if isinstance(record, Read | Sent))

    def gaps(self) -> list[Gap]:
        return [record for record in self.records if isinstance(record, Gap)]


def frames(side: Side, payload: bytes, opcode: int = 1, rsv: int = 0, sizes: tuple[int, ...] = ()) -> bytes:
    """A message as frames of these payload sizes; the last has the rest."""
    mask = KEY if side is C else None
    out, start = b"", 0
    for number, size in enumerate([*sizes, len(payload)]):
        last = number == len(sizes)
        piece = payload[start:] if last else payload[start : start + size]
        out += encode_frame(0 if number else opcode, piece, fin=last, rsv=0 if number else rsv, mask=mask)
        start += size
    return out


def arrived(data: bytes, sender: Side, params: DeflateParams | None = None) -> list[str]:
    """Messages and control frames out of a stream that must be without a fault."""
    decoder = FrameDecoder(sender, rsv_allowed=4 if params else 0)
    assembler = MessageAssembler(sender, params)
    found = []
    for frame in decoder.receive(data):
        message = assembler.receive(frame)
        assert not frame.violations, frame
        if frame.opcode >= 8:
            word = {8: "close", 9: "ping", 10: "pong"}[frame.opcode]
            found.append(f"<{word} {frame.payload.decode(errors='replace')}>")
        elif message is not None:
            assert not message.lost
            found.append(message.payload.decode())
    assert not decoder.mid_frame
    return found
