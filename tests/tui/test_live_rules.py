"""Rules and held messages over a real control socket, with a proxy that is made up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.capture.ruled import Talk, ruled_session
from tests.cli.conftest import write_capture
from tests.control.conftest import proxy, runtime
from tests.control.fake_proxy import FakeProxy
from tests.tui.test_capture_source import FakeControl, source_of, until
from wsinspect.control.client import ControlClient
from wsinspect.control.protocol import (
    HeldEvent,
    HeldMessage,
    NoticeEvent,
    ReleasedEvent,
    Reload,
    ResolveHold,
    RulesEvent,
    RulesStatus,
    RuleStatus,
    Stopping,
    SwitchRules,
    Watch,
)
from wsinspect.errors import Unavailable, WsinspectError
from wsinspect.model import Judged, Notice, Outcome, RuleHit, Side
from wsinspect.tui.capture_source import CaptureSource
from wsinspect.tui.ruling import RuleRow

__all__ = ["proxy", "runtime", "source_of"]

STATUS = RulesStatus(
    (
        RuleStatus("fake-price", "set $.price to 1", "demo.yaml:3"),
        RuleStatus("no-heartbeats", "drop it", "demo.yaml:9", enabled=False, failed=2),
        RuleStatus("new", "wait"),
    ),
    ("demo.yaml",),
)


def held(payload: bytes = b"hi", conn: int = 2, hold: int = 1, size: int | None = None) -> HeldMessage:
    nbytes = len(payload) if size is None else size
    return HeldMessage(conn, hold, Side.CLIENT, "ask-me", 1, payload, nbytes, 30_000, held_ms=1000.0)


class Control(FakeControl):
    """A control client whose proxy has rules."""

    def __init__(self, *events: object) -> None:
        super().__init__()
        self.status = STATUS
        for event in events:
            self.say(event)

    def rules(self) -> RulesStatus:
        return self.status


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_capture(tmp_path / "a.wscap", ruled_session())


def test_of_a_file_the_capture_says_which_rules_held(capture, source_of):
    source = source_of(capture)
    until(lambda: source.snapshot().status.frames == 11, "the frames")
    view = source.snapshot().rules
    assert [(row.id, row.counts) for row in view.rules][:3] == [
        ("who-asks", "1 hit, 1 changed"),
        ("fake-price", "3 hits, 3 changed"),
        ("slow-chat", "1 hit, 1 delayed"),
    ]
    assert {row.enabled for row in view.rules} == {None}
    assert view.error.startswith("rules/demo.yaml:12:7")
    assert not view.live
    assert source.snapshot().held == ()
    with pytest.raises(Unavailable, match="no proxy runs these rules"):
        source.switch_rule("fake-price", False)


def test_of_a_proxy_the_rules_are_its_own_and_the_hits_the_captures(capture, source_of):
    control = Control()
    source = source_of(capture, control)
    until(lambda: source.snapshot().rules.live and source.snapshot().status.frames == 11, "the rules")
    assert source.snapshot().rules.rules == (
        RuleRow("fake-price", True, 3, "3 hits, 3 changed", "set $.price to 1", "demo.yaml:3"),
        RuleRow("no-heartbeats", False, 1, "1 hit, 1 dropped", "drop it", "demo.yaml:9", 2),
        RuleRow("new", True, 0, "no hit", "wait"),
    )
    control.status = RulesStatus(STATUS.rules[:1], ("demo.yaml",), error="demo.yaml:1:1: bad")
    control.say(RulesEvent(error="demo.yaml:1:1: bad"))
    until(lambda: source.snapshot().rules.error == "demo.yaml:1:1: bad", "the mistake")
    control.say(Stopping())
    until(lambda: not source.snapshot().rules.live, "the end")
    assert [row.enabled for row in source.snapshot().rules.rules] == [None]
    with pytest.raises(Unavailable, match="gone"):
        source.switch_rule("fake-price", True)


def test_held_messages_come_and_go(capture, source_of):
    control = Control(HeldEvent(held()), HeldEvent(held(hold=2)))
    source = source_of(capture, control)
    until(lambda: len(source.snapshot().held) == 2, "both")
    row = source.snapshot().held[0]
    assert (row.name, row.rule, row.size, row.preview, row.default) == ("2.1", "ask-me", 2, "hi", "release")
    assert 27e9 < row.left_ns(source.snapshot().now_ns) < 29.1e9
    control.say(ReleasedEvent(2, 1, "release"))
    until(lambda: [row.hold for row in source.snapshot().held] == [2], "the release")
    assert source.hold_end(row) == "it went on as it came"
    last = source.snapshot().held[0]
    assert source.hold_end(last) == ""
    control.say(Stopping())
    until(lambda: not source.snapshot().held, "the end")
    assert source.hold_end(last) == "the proxy has gone"


@pytest.mark.parametrize(
    ("how", "by", "words"),
    [
        ("release", "default", "it went on as it came, by its default"),
        ("drop", "default", "it was dropped, by its default"),
        ("drop", "user", "it was dropped"),
        ("edit", "user", "it went on as somebody else wrote it"),
        ("discard", "reset", "its connection ended"),
    ],
)
def test_what_became_of_a_held_message(capture, source_of, how, by, words):
    control = Control(HeldEvent(held()))
    source = source_of(capture, control)
    until(lambda: source.snapshot().held, "it")
    (row,) = source.snapshot().held
    control.say(ReleasedEvent(2, 1, how, by))
    until(lambda: not source.snapshot().held, "its end")
    assert source.hold_end(row) == words


def test_a_payload_that_the_event_could_not_carry_comes_from_the_capture(tmp_path, source_of):
    talk = Talk()
    for conn in (1, 2):
        talk.open(conn, "/")
    talk.fact(2, Notice(code="private", text="redacted", side=Side.CLIENT))
    for conn in (1, 2):
        talk.judge(conn, Side.CLIENT, Outcome.HELD, "ask-me", hold=1, limit_ms=9000)
        talk.send(conn, Side.CLIENT, b"all of the payload")
    control = Control(*(HeldEvent(held(b"all", conn, size=18)) for conn in (1, 2)))
    source = source_of(write_capture(tmp_path / "b.wscap", talk.records), control)
    until(lambda: len(source.snapshot().held) == 2 and source.snapshot().status.frames == 2, "both")
    first, private = source.snapshot().held
    assert source.held_payload(first) == b"all of the payload"
    assert source.held_payload(private) is None, "what the capture has may not be what would go out"


def test_what_is_asked_reaches_the_proxy(capture, source_of, proxy: FakeProxy):
    from wsinspect.control.protocol import HoldsStatus

    proxy.rules, proxy.holds = STATUS, HoldsStatus((held(), held(hold=2), held(hold=3)))
    proxy.events = [NoticeEvent("hello"), HeldEvent(held())]
    with ControlClient(os.getpid()) as client:
        source = CaptureSource(capture, client)
        assert Watch(attached=True) in proxy.requests
        source._rules.start()
        source._rules.take(HeldEvent(held()))
        (row,) = source._rules.held()
        source.switch_rule("fake-price", False)
        source.reload_rules()
        source.resolve_hold(row, "edit", b"other")
        source.resolve_hold(row, "release")
        source.resolve_hold(row, "drop")
        with pytest.raises(WsinspectError, match="no rule nix"):
            source.switch_rule("nix", True)
        proxy.holds = HoldsStatus()
        with pytest.raises(WsinspectError, match="already released"):
            source.resolve_hold(row, "release")
        source.close()
    asked = [each for each in proxy.requests if isinstance(each, SwitchRules | Reload | ResolveHold)]
    assert asked[:5] == [
        SwitchRules(("fake-price",), False),
        Reload(),
        ResolveHold(2, 1, "edit", b"other"),
        ResolveHold(2, 1, "release"),
        ResolveHold(2, 1, "drop"),
    ]


def test_rules_that_only_the_capture_knows(tmp_path, source_of):
    """Where the fact that they were loaded is gone with its segment, their verdicts still name them."""
    talk = Talk()
    talk.open(1, "/")
    hits = [RuleHit(rule="seen"), RuleHit(rule="too")]
    talk.fact(1, Judged(side=Side.CLIENT, hits=hits))
    source = source_of(write_capture(tmp_path / "c.wscap", talk.records))
    until(lambda: [row.id for row in source.snapshot().rules.rules] == ["seen", "too"], "their names")
