from __future__ import annotations

import threading

import pytest

from tests.control.fake_proxy import FakeProxy
from wsinspect.control.client import ControlClient
from wsinspect.control.protocol import (
    Close,
    ControlError,
    ErrorCode,
    HeldEvent,
    HeldMessage,
    HoldsStatus,
    NoticeEvent,
    ReleasedEvent,
    ResolveHold,
    RulesEvent,
    RulesStatus,
    RuleStatus,
    Send,
    Stop,
    Stopping,
    SwitchRules,
    Watch,
)
from wsinspect.errors import ProxyUnreachable, TimedOut, UsageError
from wsinspect.model import Opcode, Side


def test_hello_comes_first(proxy: FakeProxy) -> None:
    with ControlClient() as client:
        assert client.info == proxy.info
        assert client.path == proxy.path


def test_status(proxy: FakeProxy) -> None:
    with ControlClient(proxy.info.pid) as client:
        status = client.status()
        assert (status.live, status.total, status.trouble) == (2, 5, ["the disk is slow"])
        assert client.request("status")["uptime_s"] == 1.5


def test_send_and_close(proxy: FakeProxy) -> None:
    with ControlClient(proxy.path) as client:
        client.send(1, Side.SERVER, "hi")
        client.send(1, Side.CLIENT, b"\xff")
        client.send(1, Side.CLIENT, b"beat", Opcode.PING)
        client.close_connection(2, 1014, "gateway", (Side.CLIENT,))
    assert proxy.requests[1:] == [
        Send(1, Side.SERVER, Opcode.TEXT, b"hi"),
        Send(1, Side.CLIENT, Opcode.BINARY, b"\xff"),
        Send(1, Side.CLIENT, Opcode.PING, b"beat"),
        Close(2, 1014, "gateway", (Side.CLIENT,)),
    ]


def test_a_refusal_leaves_the_client_usable(proxy: FakeProxy) -> None:
    with ControlClient() as client:
        with pytest.raises(ControlError, match="no connection 77") as caught:
            client.send(77, Side.SERVER, "hi")
        assert caught.value.code is ErrorCode.NOT_FOUND
        with pytest.raises(UsageError, match="do not fit"):
            client.send(1, Side.SERVER, "x" * (1 << 20))
        with pytest.raises(ControlError, match="unknown command 'dance'"):
            client.request("dance")
        assert client.status().live == 2


def test_requests_of_many_threads(proxy: FakeProxy) -> None:
    with ControlClient() as client:
        threads = [threading.Thread(target=lambda: [client.status() for _ in range(20)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(proxy.requests) == 81


def test_stop_waits_until_the_proxy_is_gone(proxy: FakeProxy) -> None:
    with ControlClient() as client:
        client.stop(wait_s=5)
        assert isinstance(proxy.requests[-1], Stop)
        with pytest.raises(ProxyUnreachable, match="gone"):
            client.status()


def test_a_proxy_that_is_silent(proxy: FakeProxy) -> None:
    proxy.mute = True
    with pytest.raises(TimedOut, match="does not answer"):
        ControlClient(timeout_s=0.05)


def test_a_proxy_that_does_not_stop(proxy: FakeProxy) -> None:
    with ControlClient() as client, pytest.raises(TimedOut):
        client.wait_until_gone(0.05)


def test_a_proxy_of_another_version(proxy: FakeProxy) -> None:
    proxy.hello["protocol"] = 99
    with pytest.raises(ProxyUnreachable, match="version 99"):
        ControlClient()


def test_events_until_the_end(proxy: FakeProxy) -> None:
    proxy.events = [NoticeEvent("the disk is full", "error"), NoticeEvent("blind", "warning", 3)]
    with ControlClient() as client:
        reader = client.watch()
        assert list(reader) == [*proxy.events, Stopping()]
        reader.close()


def test_events_with_a_time_limit(proxy: FakeProxy) -> None:
    with ControlClient() as client:
        reader = client.watch()
        assert reader.next(5) == Stopping()
        assert reader.next(0.01) is None
        proxy.stop()
        with pytest.raises(ProxyUnreachable):
            reader.next(5)
        reader.close()


def test_close_wakes_a_thread_that_reads_events(proxy: FakeProxy) -> None:
    with ControlClient() as client:
        reader = client.watch()
        assert reader.next() == Stopping()
        ended = threading.Event()

        def read() -> None:
            with pytest.raises(ProxyUnreachable):
                reader.next()
            ended.set()

        thread = threading.Thread(target=read)
        thread.start()
        reader.close()
        assert ended.wait(5)
        thread.join()


HELD = HeldMessage(3, 1, Side.CLIENT, "pause", 1, b'{"op":"buy"}', 12, 30_000)


def test_rules_are_listed_switched_and_reloaded(proxy: FakeProxy) -> None:
    proxy.rules = RulesStatus(
        (RuleStatus("a", "drop pings", "r.yaml:3", True, 7), RuleStatus("b")), ("r.yaml",)
    )
    with ControlClient() as client:
        assert client.rules() == proxy.rules
        client.switch_rules(["b"], False)
        assert proxy.requests[-1] == SwitchRules(("b",), False)
        assert client.reload() == proxy.rules
        brief = client.status().rules
        assert brief is not None
        assert (brief.count, brief.hits, brief.files) == (2, 7, ("r.yaml",))
        with pytest.raises(ControlError, match="no rule c") as caught:
            client.switch_rules(["b", "c"], True)
        assert caught.value.exit_code == 2


def test_a_reload_that_fails_has_every_mistake(proxy: FakeProxy) -> None:
    proxy.rules = RulesStatus(files=("r.yaml",), error="r.yaml:1:1: one\nr.yaml:2:1: two")
    with ControlClient() as client, pytest.raises(ControlError, match=r"one\nr.yaml:2:1: two") as caught:
        client.reload()
    assert (caught.value.code, caught.value.exit_code) == (ErrorCode.BAD_RULES, 2)


def test_held_messages_are_listed_and_resolved(proxy: FakeProxy) -> None:
    proxy.holds = HoldsStatus((HELD,))
    with ControlClient() as client:
        assert client.holds() == proxy.holds
        client.release(3, 1)
        client.edit(3, 1, b"\xff")
        client.drop(3, 1)
        with pytest.raises(ControlError, match="already released") as caught:
            client.release(3, 2)
        assert (caught.value.code, caught.value.exit_code) == (ErrorCode.ALREADY_RELEASED, 3)
    assert proxy.requests[-4:-1] == [
        ResolveHold(3, 1, "release"),
        ResolveHold(3, 1, "edit", b"\xff"),
        ResolveHold(3, 1, "drop"),
    ]


def test_who_only_reads_along_is_not_attached(proxy: FakeProxy) -> None:
    proxy.events = [HeldEvent(HELD), ReleasedEvent(3, 1, "edit"), RulesEvent(("r.yaml",), ("a",))]
    with ControlClient() as client:
        for attached in (True, False):
            reader = client.watch(attached=attached)
            assert list(reader) == [*proxy.events, Stopping()]
            reader.close()
    assert [each for each in proxy.requests if isinstance(each, Watch)] == [Watch(True), Watch(False)]
