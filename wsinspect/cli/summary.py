"""A capture in a few lines: what `demo --headless` and `browser --headless` print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from wsinspect.capture.reader import Reader
from wsinspect.capture.summary import ConnectionSummary, Summary
from wsinspect.capture.timeline import FactEvent, FrameEvent, Timeline
from wsinspect.decode.printable import clean
from wsinspect.formats.lines import human_size
from wsinspect.formats.verdict_words import NOT_TOUCHED
from wsinspect.model import ConnectionState, Ended, How, Ruled, Side

TOLERANCE = 1.2
"""Under load a timer fires late, and the frame before it is seen late: up to this many times the limit, or
this part of it, still counts as the limit."""


def summary_lines(capture: Path, *, idle_limit_s: float | None = None) -> list[str]:
    """Connections by state, frames by kind, bytes, violations, what rules did, each drop.

    Raises NotFound, NotACapture.

    `idle_limit_s`: what the server is known to allow; without it no drop is explained by silence.
    """
    summary, quiet_ns = _read(capture)
    totals = summary.totals
    kinds = totals.kinds[0] + totals.kinds[1]
    lines = [
        _row("connections", len(summary.connections), _counts(summary.states())),
        _row(
            "frames",
            sum(totals.frames),
            f"{totals.frames[0]:,} from clients, {totals.frames[1]:,} from servers",
        ),
        *(_row(f"  {kind}", count, "") for kind, count in kinds.most_common()),
        _row("messages", sum(totals.messages), ""),
        _row(
            "bytes",
            sum(totals.bytes),
            f"{human_size(totals.bytes[0])} from clients, {human_size(totals.bytes[1])} from servers",
        ),
    ]
    if totals.violations:
        lines.append(_row("violations", totals.violations.total(), _counts(totals.violations)))
    if totals.gaps:
        lines.append(_row("gaps", totals.gaps, f"{sum(totals.lost_bytes):,} bytes are missing"))
    if any(totals.injected):
        sent = (
            f"{totals.injected[0]:,} as the client, {totals.injected[1]:,} as the server, by wsinspect itself"
        )
        lines.append(_row("sent", sum(totals.injected), sent))
    lines += _rule_lines(summary)
    lines += [f"note: {notice.text}" for notice in summary.notices if notice.code in ("evicted", "outage")]
    dropped = [each for each in summary.connections.values() if each.state is ConnectionState.DROPPED]
    return lines + [_drop(each, quiet_ns.get(each.conn, 0) / 1e9, idle_limit_s) for each in dropped]


def _rule_lines(summary: Summary) -> list[str]:
    """What rules did, by rule; those that did nothing are counted at the end."""
    rules = summary.totals.rules
    if not rules and summary.ruled is None:
        return []
    lines = [_row("rule hits", rules.hits, _shadow(summary.ruled))]
    width = max((len(name) for name in map(clean, rules.rules)), default=0)
    lines += [f"  {clean(rule):<{width}}   {counts.words()}" for rule, counts in rules.rules.items()]
    idle = [rule for rule in summary.ruled.rules if rule not in rules.rules] if summary.ruled else []
    if idle:
        lines.append(f"  without a hit: {clean(', '.join(idle))}")
    if summary.rules_error:
        lines.append(clean(f"note: the rules stay as they were: {summary.rules_error}"))
    return lines


def _shadow(ruled: Ruled | None) -> str:
    return f"in shadow: {NOT_TOUCHED}" if ruled is not None and ruled.shadow else ""


def _read(capture: Path) -> tuple[Summary, dict[int, int]]:
    """The summary, and for each ended connection how long it was silent before its first end."""
    summary, timeline = Summary(), Timeline()
    last_frame_ns: dict[int, int] = {}
    quiet_ns: dict[int, int] = {}
    with Reader(capture) as reader:
        while batch := reader.read():
            for event in (event for _, record in batch for event in timeline.feed(record)):
                summary.feed(event)
                if isinstance(event, FrameEvent):
                    last_frame_ns[event.conn] = event.t_ns
                elif isinstance(event, FactEvent) and isinstance(event.fact, Ended):
                    since = last_frame_ns.get(event.conn, event.t_ns)
                    quiet_ns.setdefault(event.conn, event.t_ns - since)
        for event in timeline.finish():
            summary.feed(event)
    return summary, quiet_ns


def _drop(connection: ConnectionSummary, quiet_s: float, idle_limit_s: float | None) -> str:
    first = connection.ended_first
    who = _who(first) if first else "both sides are gone"
    by_server = first is not None and first.side is Side.SERVER
    at_limit = idle_limit_s is not None and idle_limit_s / TOLERANCE <= quiet_s <= idle_limit_s * TOLERANCE
    why = "dropped at its idle limit" if by_server and at_limit else "dropped"
    silence = f"after {quiet_s:.1f} s of silence, without a Close"
    return f"#{connection.conn} {clean(connection.url)}  {why}: {who} {silence}"


def _who(first: Ended) -> str:
    if first.how is How.INSPECTOR:
        return f"wsinspect ended it{clean(f' ({first.detail})' if first.detail else '')}"
    return f"the {first.side.word} ended it by {first.how.value}"


def _counts(counts: Counter[ConnectionState] | Counter[str]) -> str:
    items: Iterable[tuple[str, int]] = counts.most_common()
    return ", ".join(f"{count:,} {name}" for name, count in items)


def _row(name: str, count: int, detail: str) -> str:
    return f"{name:<14}{count:>10,}   {detail}".rstrip()
