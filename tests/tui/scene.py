"""A scene with some of everything, for the pictures in the documentation and for tests of the layout."""

from __future__ import annotations

import json
import random

from wsinspect.model import Ended, Failed, How, Message, Notice, Opened, Requested, Side, Violation
from wsinspect.tui.source import Finding

from .fake_source import FakeSource

C, S = Side.CLIENT, Side.SERVER


def scene(source: FakeSource | None = None, ticks: int = 60) -> FakeSource:
    """A price feed, a chat with heartbeats, a binary and a compressed stream, a drop, a failure."""
    source = source or FakeSource()
    rng = random.Random(7)
    urls = {
        1: "ws://127.0.0.1:9000/prices?symbols=EURUSD,BTCUSD",
        2: "ws://127.0.0.1:9000/chat/lobby",
        3: "ws://127.0.0.1:9000/telemetry",
        4: "wss://stream.example.org/v2/compressed",
        5: "ws://127.0.0.1:9000/idle",
        6: "wss://api.example.org/refused",
    }
    for conn, url in urls.items():
        detail = source.connect(conn, url, mode="reverse")
        detail.requested = Requested(
            url=url,
            target="/" + url.split("/", 3)[3],
            headers=[
                ("Host", "127.0.0.1:9000"),
                ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
            ],
            client=("127.0.0.1", 50_112 + conn),
            listener=("127.0.0.1", 8080),
            mode="reverse:http://127.0.0.1:9000",
        )
        source.fact(conn, detail.requested, url)
        source.pass_time(0.011)
        if conn == 6:
            failed = Failed(phase="connect", message="connection refused", errno="ECONNREFUSED")
            detail.failed = failed
            source.fact(conn, failed, "connect: connection refused (ECONNREFUSED)", "error")
            source.connect(conn, url, "failed", end="connect: ECONNREFUSED", ended_ns=source.now_ns)
            continue
        detail.opened = Opened(
            status=101,
            reason="Switching Protocols",
            headers=[
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ],
            server=("127.0.0.1", 9000),
        )
        source.fact(conn, detail.opened, "101 Switching Protocols")
        source.pass_time(0.004)
    source.connections[2].findings.append(
        Finding("RFC 6455 4.2.2", "subprotocol not asked for", "the server chose “chat.v2”")
    )
    source.connections[4].extensions = "permessage-deflate; server_no_context_takeover"
    source.frame(1, C, '{"op":"subscribe","channels":["ticker","book"],"symbols":["EURUSD","BTCUSD"]}')
    source.pass_time(12)
    gone = Ended(
        side=S, how=How.FIN, detail="", tcp_info={"tcpi_rtt": 213, "tcpi_unacked": 0, "tcpi_retransmits": 0}
    )
    source.connections[5].ends.append((source.now_ns, gone))
    source.fact(5, gone, "server ended: FIN, no Close frame", "warning", S)
    source.connect(
        5, urls[5], "dropped", end="server FIN, no Close, after 12.0 s idle", ended_ns=source.now_ns
    )
    source.say("warning", "connection #5 dropped: an end without Close")
    book = {
        "op": "book",
        "symbol": "BTCUSD",
        "bids": [[64210.5, 1.25], [64210.0, 3.1]],
        "live": True,
        "next": None,
    }
    for tick in range(ticks):
        source.pass_time(rng.uniform(0.002, 0.09))
        price = 64_000 + rng.random() * 500
        quote = {
            "op": "tick",
            "symbol": rng.choice(["EURUSD", "BTCUSD"]),
            "bid": round(price, 2),
            "seq": tick,
        }
        source.frame(1, S, json.dumps(quote, separators=(",", ":")))
        if tick % 3 == 0:
            source.frame(3, S, rng.randbytes(rng.choice([64, 180, 1024])))
        if tick % 5 == 1:
            payload = json.dumps(book | {"seq": tick}, separators=(",", ":")).encode()
            squeezed = payload[: len(payload) // 3]
            source.frame(
                4, S, squeezed, 1, rsv=4, message=Message(S, 1, payload, tick, tick, 40, compressed=True)
            )
            line = source.details[-1].line
            source.details[-1].line = type(line)(
                line.row, line.conn, line.wall_ns, line.kind, line.side, line.size, payload.decode()
            )
        if tick % 9 == 4:
            source.frame(2, C, "", 9)
            source.frame(2, S, "", 10)
        if tick % 8 == 2:
            names = ["Grüße aus Köln! 👋", "has anyone seen the deploy?", "明日の会議は10時です", "brb"]
            source.frame(
                2,
                rng.choice([C, S]),
                json.dumps({"from": "ana", "text": rng.choice(names)}, ensure_ascii=False),
            )
    source.frame(
        2, C, "not masked, which a client must not", violations=(Violation.UNMASKED_CLIENT,), mask=None
    )
    source.frame(
        1, S, '{"op":"tick","symbol":"EURUSD","bid":1.0874,"note":"made by a rule"}', flags=("injected",)
    )
    source.fact(3, Notice(code="blind", text="note"), "reads carry many frames", "info")
    source.connect(
        1, urls[1], rate=(0, 412), spark=(80, 120, 200, 300, 290, 340, 390, 410, 380, 420, 400, 412)
    )
    source.connect(2, urls[2], rate=(2, 3), spark=(0, 2, 5, 0, 1, 4, 0, 0, 3, 5, 0, 5), problems=2)
    source.connect(3, urls[3], rate=(0, 60), spark=(60,) * 12)
    source.connect(4, urls[4], rate=(0, 38), spark=(10, 20, 38, 20, 10, 20, 38, 20, 10, 20, 38, 20))
    source.frame(2, S, b"\x03\xe8bye, and thanks", 8)
    source.connections[2].closes.append((S, 1000, "bye, and thanks"))
    source.frame(1, S, json.dumps(book, separators=(",", ":")))
    return source
