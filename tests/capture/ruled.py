"""A session with some of everything that rules do, as the records that a proxy writes of it."""

from __future__ import annotations

import json
from typing import Any

from wsinspect.model import (
    FactRecord,
    Gap,
    Judged,
    Notice,
    Opened,
    Outcome,
    Read,
    Record,
    Released,
    Requested,
    Ruled,
    RuleHit,
    Sent,
    Side,
)
from wsinspect.wire.frames import encode_frame

C, S = Side.CLIENT, Side.SERVER
MASK = b"\x37\xfa\x21\x3d"
RULES = [
    "who-asks",
    "fake-price",
    "slow-chat",
    "no-heartbeats",
    "mock-order",
    "ask-me",
    "hide-token",
    "watch-errors",
]
MS = 1_000_000


class Talk:
    """Writes records as they would come, with offsets, numbers and times that are right."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.t_ns = 10 * MS
        self._offset: dict[tuple[int, Side], int] = {}
        self._number: dict[tuple[int, Side], int] = {}

    def fact(self, conn: int, fact: Any) -> None:
        self.t_ns += MS // 10
        self.records.append(FactRecord(conn, self.t_ns, fact))

    def open(self, conn: int, path: str) -> None:
        """A handshake."""
        headers = [("Host", "127.0.0.1:8080"), ("Upgrade", "websocket")]
        self.fact(
            conn,
            Requested(
                url=f"ws://127.0.0.1:9000{path}", target=path, headers=headers,
                client=("127.0.0.1", 50_000 + conn), listener=("127.0.0.1", 8080), mode="reverse:http://127.0.0.1:9000",
            ),
        )  # fmt: skip
        self.fact(conn, Opened(reason="Switching Protocols", headers=[("Upgrade", "websocket")]))

    def judge(
        self, conn: int, side: Side, outcome: Outcome, rule: str, did: str = "", **values: Any
    ) -> tuple[int, int]:
        """What rules decide about the next frame of a direction. Returns its numbers."""
        number = self._number.get((conn, side), 1)
        fields: dict[str, Any] = {
            "opcode": 1,
            "hits": [RuleHit(rule=rule, did=(did,) if did else ())],
        } | values
        self.fact(conn, Judged(side=side, first_frame=number, last_frame=number, outcome=outcome, **fields))
        return number, number

    def send(
        self, conn: int, side: Side, payload: bytes | Any, opcode: int = 1, *, gap: bool = False
    ) -> None:
        """A frame comes; a tree goes as JSON. `gap`: it is kept out of the capture."""
        data = payload if isinstance(payload, bytes) else json.dumps(payload, separators=(",", ":")).encode()
        wire = encode_frame(opcode, data, mask=None if side else MASK)
        key = conn, side
        offset, number = self._offset.get(key, 0), self._number.get(key, 1)
        self.t_ns += MS
        if gap:
            self.records.append(Gap(conn, side, self.t_ns, offset, len(wire), "no-capture"))
        else:
            self.records.append(Read(conn, side, self.t_ns, wire, offset, number))
        self._offset[key], self._number[key] = offset + len(wire), number + 1

    def put(
        self, conn: int, side: Side, payload: bytes | Any, why: str, rule: str | None,
        of: tuple[int, int] = (0, 0), opcode: int = 1,
    ) -> None:  # fmt: skip
        """wsinspect sends something itself."""
        data = payload if isinstance(payload, bytes) else json.dumps(payload, separators=(",", ":")).encode()
        wire = encode_frame(opcode, data, mask=None if side else MASK)
        self.t_ns += MS // 10
        self.records.append(
            Sent(conn, side, self.t_ns, wire, self._offset.get((conn, side), 0), why, rule, *of)
        )


def ruled_session(*, held: bool = True) -> list[Record]:
    """Two connections. `held`: at the end one message is still held."""
    talk = Talk()
    talk.fact(0, Ruled(files=["rules/demo.yaml"], rules=RULES))
    talk.open(1, "/prices")
    talk.fact(
        1,
        Judged(
            side=C, outcome=Outcome.CHANGED, hits=[RuleHit(rule="who-asks", did=("set header X-Seen to 1",))]
        ),
    )
    talk.open(2, "/chat")
    talk.fact(2, Notice(code="private", text="what the client sends is captured after redaction", side=C))
    talk.send(1, C, {"op": "subscribe", "symbols": ["BTC-USD"]})
    for number in range(3):
        tick = {"type": "tick", "symbol": "BTC-USD", "price": 64_210 + number, "seq": number}
        of = talk.judge(1, S, Outcome.CHANGED, "fake-price", "set $.price to 1")
        talk.send(1, S, tick)
        talk.put(1, S, tick | {"price": 1}, "modified", "fake-price", of)
    talk.judge(2, C, Outcome.DROPPED, "no-heartbeats", "drop it", opcode=9)
    talk.send(2, C, b"hb-1", 9)
    talk.judge(2, S, Outcome.PASSED, "slow-chat", "delay 200 ms", delay_ms=200.0, tags=["chat"])
    talk.send(2, S, {"from": "ana", "text": "Grüße aus Köln! 👋"})
    talk.judge(1, C, Outcome.DROPPED, "mock-order", "answer instead of the server")
    talk.send(1, C, {"op": "order", "side": "buy", "qty": 3})
    talk.put(1, S, {"type": "ack", "id": "o-1", "made": "by a rule"}, "injected", "mock-order")
    talk.judge(2, C, Outcome.PASSED, "hide-token", "redact $.token", captured="redacted")
    talk.send(2, C, {"op": "login", "token": "tok-7f3a91"})
    talk.judge(2, C, Outcome.PASSED, "hide-token", "keep it out of the capture", captured="nothing")
    talk.send(2, C, {"op": "secret"}, gap=True)
    shadowed = Outcome.DROPPED
    talk.judge(2, S, shadowed, "watch-errors", "drop", shadow=True)
    talk.send(2, S, {"type": "error", "code": 42})
    of = talk.judge(2, C, Outcome.HELD, "ask-me", "hold it", hold=1, limit_ms=30_000)
    talk.send(2, C, {"from": "me", "text": "shall I?"})
    talk.t_ns += 1204 * MS
    released = Released(side=C, hold=1, how="edit", first_frame=of[0], last_frame=of[1], held_ms=1204.0)
    talk.fact(2, released)
    talk.put(2, C, {"from": "me", "text": "I shall!"}, "modified", "ask-me", of)
    if held:
        talk.judge(2, C, Outcome.HELD, "ask-me", "hold it", hold=2, limit_ms=30_000)
        talk.send(2, C, {"from": "me", "text": "may I?"})
    talk.fact(0, Ruled(error="rules/demo.yaml:12:7: no action is called drip; did you mean drop?"))
    return talk.records
