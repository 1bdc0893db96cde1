"""A source under the test's control: rows that it was told, a clock that stands still until it is moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from wsinspect.errors import Unavailable
from wsinspect.model import ConnectionState, Fact, Frame, Message, Side, opcode_word
from wsinspect.tui.ruling import HeldRow, HoldWord, RuleRow, RulesView
from wsinspect.tui.source import (
    ConnectionDetail,
    ConnectionRow,
    Detail,
    Level,
    LogLine,
    QuitPolicy,
    Scope,
    Snapshot,
    Status,
)

EPOCH_NS = 1_760_000_000_000_000_000
SECOND = 1_000_000_000


class FakeSource:
    """Rows, connections and status as the test puts them."""

    def __init__(self, *, policy: QuitPolicy = QuitPolicy.LEAVE, live: bool = True) -> None:
        self.quit_policy = policy
        self.now_ns = 100 * SECOND
        self.status = Status(
            source="live" if live else "file",
            listeners=("127.0.0.1:8080 reverse:http://127.0.0.1:9000",),
            capture="/state/wsinspect/demo.wscap",
            capture_bytes=12_400_000,
        )
        self.connections: dict[int, ConnectionDetail] = {}
        self.details: list[Detail] = []
        self.by_conn: dict[int, list[int]] = {}
        self.version = 0
        self.started = self.closed = self.stopped = False
        self.rules = RulesView()
        self.held: list[HeldRow] = []
        self.payloads: dict[str, bytes] = {}
        """Of held messages, by name."""
        self.ends: dict[str, str] = {}
        """What became of them, by name."""
        self.limits_ms: dict[str, int] = {}
        """Of their rules."""
        self.waits: list[str] = []
        """Whose limit began anew."""
        self.asked_for: list[tuple[object, ...]] = []
        """What the screen asked about rules and held messages."""
        self.refusal: str | None = None
        """With which the proxy refuses all of that."""
        self._all = _Growing(lambda: len(self.details))

    # ------------------------------------------------------------------------------- what the test says

    def connect(
        self, conn: int, url: str = "ws://127.0.0.1:9000/", state: str = "open", **values: object
    ) -> ConnectionDetail:
        """A connection appears, or changes."""
        known = self.connections.get(conn)
        row = known.row if known else ConnectionRow(conn, ConnectionState(state), url, started_ns=self.now_ns)
        row = replace(row, url=url, state=ConnectionState(state), **values)  # type: ignore[arg-type]
        if known is None:
            known = self.connections[conn] = ConnectionDetail(row, wall_started_ns=EPOCH_NS + self.now_ns)
            self.by_conn[conn] = []
        known.row = row
        self.version += 1
        return known

    def frame(
        self,
        conn: int,
        side: Side,
        payload: bytes | str,
        opcode: int | None = None,
        *,
        flags: tuple[str, ...] = (),
        message: Message | None = None,
        **values: object,
    ) -> Detail:
        """A frame goes by."""
        data = payload.encode() if isinstance(payload, str) else payload
        if opcode is None:
            opcode = 1 if isinstance(payload, str) else 2
        known = self.connections.get(conn) or self.connect(conn)
        counts = list(known.row.frames)
        counts[side] += 1
        nbytes = list(known.row.wire_bytes)
        mask = bytes.fromhex("37fa213d") if side is Side.CLIENT else None
        header = (2 if len(data) < 126 else 4) + (4 if mask else 0)
        frame = Frame(side, counts[side], nbytes[side], True, 0, opcode, mask, len(data), header, data)
        for name, value in values.items():
            setattr(frame, name, value)
        nbytes[side] += frame.wire_bytes
        known.row = replace(known.row, frames=tuple(counts), wire_bytes=tuple(nbytes))
        if message is None and frame.fin and opcode in (1, 2):
            message = Message(side, opcode, data, frame.number, frame.number, frame.wire_bytes)
        line = LogLine(
            row=len(self.details),
            conn=conn,
            wall_ns=EPOCH_NS + self.now_ns,
            kind=opcode_word(opcode),
            side=side,
            size=len(data),
            preview=_preview(opcode, data),
            flags=flags,
            violations=tuple(v.slug for v in frame.violations),
        )
        return self._append(Detail(line, known, frame, message, reads=(frame.number, frame.number)))

    def fact(
        self, conn: int, fact: Fact, preview: str, level: Level = "info", side: Side | None = None
    ) -> Detail:
        """A fact is recorded."""
        known = self.connections.get(conn) or self.connect(conn)
        line = LogLine(
            len(self.details), conn, EPOCH_NS + self.now_ns, fact.kind, side, None, preview, level=level
        )
        return self._append(Detail(line, known, fact=fact))

    def _append(self, detail: Detail) -> Detail:
        self.by_conn[detail.line.conn].append(len(self.details))
        self.details.append(detail)
        self.version += 1
        return detail

    def pass_time(self, seconds: float) -> None:
        """Move the clock."""
        self.now_ns += int(seconds * SECOND)

    def say(self, level: Level, text: str) -> None:
        """A notice."""
        self.status = replace(self.status, notices=(*self.status.notices, (level, text)))
        self.version += 1

    def load(self, *rules: RuleRow, **values: object) -> None:
        """Rules are loaded, or could not be."""
        known = {"live": True, "files": self.rules.files or ("rules/demo.yaml",)} | values
        self.rules = replace(self.rules, **known)  # type: ignore[arg-type]
        if rules:
            self.rules = replace(self.rules, rules=rules)
        self.version += 1

    def hold(self, payload: bytes | str, *, conn: int = 1, limit_s: float = 30, **values: object) -> HeldRow:
        """A message of the client is held."""
        data = payload.encode() if isinstance(payload, str) else payload
        opcode = 1 if isinstance(payload, str) else 2
        number = len(self.payloads) + 1
        fields = {"side": Side.CLIENT, "rule": "ask-me", "limit_ms": int(limit_s * 1000)} | values
        row = HeldRow(
            conn, number, opcode=opcode, size=len(data), preview=_preview(opcode, data),
            since_ns=self.now_ns, **fields,  # type: ignore[arg-type]
        )  # fmt: skip
        self.held.append(row)
        self.payloads[row.name] = data
        self.limits_ms[row.name] = row.limit_ms
        self.version += 1
        return row

    def let_go(self, held: HeldRow) -> None:
        """Somebody released it, or its time was over."""
        self.held = [each for each in self.held if each.name != held.name]
        self.version += 1

    # --------------------------------------------------------------------------- what the screen asks for

    def start(self) -> None:
        self.started = True

    def close(self) -> None:
        self.closed = True

    def snapshot(self) -> Snapshot:
        rows = tuple(detail.row for detail in self.connections.values())
        totals = (sum(r.wire_bytes[0] for r in rows), sum(r.wire_bytes[1] for r in rows))
        frames = sum(sum(row.frames) for row in rows)
        status = replace(self.status, frames=frames, wire_bytes=totals)
        return Snapshot(self.version, self.now_ns, rows, status, self.rules, tuple(self.held))

    def rows(self, scope: Scope) -> Sequence[int]:
        return self._all if scope.conn is None else self.by_conn.get(scope.conn, [])

    def lines(self, rows: Sequence[int]) -> list[LogLine]:
        return [self.details[row].line for row in rows]

    def detail(self, row: int) -> Detail:
        return self.details[row]

    def connection(self, conn: int) -> ConnectionDetail | None:
        return self.connections.get(conn)

    def switch_rule(self, rule: str, on: bool) -> None:
        self._ask("switch", rule, on)
        rows = tuple(replace(each, enabled=on) if each.id == rule else each for each in self.rules.rules)
        self.rules = replace(self.rules, rules=rows)
        self.version += 1

    def reload_rules(self) -> None:
        self._ask("reload")

    def held_payload(self, held: HeldRow) -> bytes | None:
        return self.payloads.get(held.name)

    def hold_end(self, held: HeldRow) -> str:
        return self.ends.get(held.name, "")

    def resolve_hold(self, held: HeldRow, how: HoldWord, payload: bytes = b"") -> None:
        if how == "wait":
            self.waits.append(held.name)
            self.held = [self._anew(each) if each.name == held.name else each for each in self.held]
            self.version += 1
            return
        self._ask(how, held.name, *([payload] if how == "edit" else []))
        self.let_go(held)

    def _anew(self, row: HeldRow) -> HeldRow:
        waited_ms = (self.now_ns - row.since_ns) // 1_000_000
        return replace(row, limit_ms=waited_ms + self.limits_ms[row.name])

    def _ask(self, *what: object) -> None:
        self.asked_for.append(what)
        if self.refusal is not None:
            raise Unavailable(self.refusal)

    def stop_proxy(self) -> None:
        self.stopped = True


def _preview(opcode: int, data: bytes) -> str:
    if opcode == 8:
        return f"{int.from_bytes(data[:2])} {data[2:].decode(errors='replace')}"
    return data[:48].hex(" ") if opcode == 2 else data[:400].decode("utf-8", "replace")


class _Growing(Sequence[int]):
    """0, 1, 2 … as far as there are rows at the moment."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count()

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return range(self._count())[index]


class HugeSource(FakeSource):
    """As many rows as one likes, none of which exists before it is asked for."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.asked = 0
        """Lines that were asked for."""
        self.connect(1, "ws://127.0.0.1:9000/flood")
        self._all = _Growing(lambda: self.count)

    def lines(self, rows: Sequence[int]) -> list[LogLine]:
        self.asked += len(rows)
        return [
            LogLine(
                r, 1, EPOCH_NS + r * 1_000_000, "text", Side(r & 1), 40, f'{{"tick":{r},"price":{r % 997}}}'
            )
            for r in rows
        ]

    def detail(self, row: int) -> Detail:
        return Detail(self.lines([row])[0], self.connections[1], note="a row of many")
