"""Rules on real traffic, as the readers show them: the screen's source, tail, the demo's summary."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Program
from wsinspect import peer
from wsinspect.cli import main
from wsinspect.control.client import ControlClient
from wsinspect.control.launch import launch_proxy
from wsinspect.control.settings import ProxySettings
from wsinspect.errors import WsinspectError
from wsinspect.model import Message
from wsinspect.tui.capture_source import CaptureSource
from wsinspect.tui.source import Scope

pytestmark = pytest.mark.slow

RULES = """
version: 1
rules:
  - {id: fake, when: {from: server, text: {contains: fake}}, then: [{replace: {text: fake, with: real}}]}
  - {id: wait, when: {from: client, text: {contains: may}}, then: [{hold: 30s}]}
"""


async def until(condition: Callable[[], object], what: str) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"waited in vain for {what}")


async def text_of(connection: peer.Connection) -> str | None:
    message = await connection.receive()
    assert isinstance(message, Message)
    return message.text


async def test_the_screens_source_over_a_proxy_with_rules(
    runtime: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules, capture = tmp_path / "rules.yaml", tmp_path / "a.wscap"
    rules.write_text(RULES)
    settings = ProxySettings(modes=["regular"], listen_port=0, capture=capture, rules=[rules])

    async def echo(connection: peer.Connection) -> None:
        async for message in connection:
            await connection.send(message.payload.decode())

    server = await peer.serve(echo)
    with launch_proxy(settings.arguments()) as launched, ControlClient(launched.hello.pid) as control:
        client = await peer.connect(server.url, proxy=f"http://127.0.0.1:{launched.hello.listeners[0].port}")
        source = CaptureSource(capture, control)
        source.start()
        try:
            await until(lambda: len(source.snapshot().rules.rules) == 2, "the rules")
            await client.send("a fake one")
            assert await text_of(client) == "a real one"
            # The screen is there, so somebody is there: it waits.
            await client.send("may I?")
            await until(lambda: source.snapshot().held, "the held message")
            (held,) = source.snapshot().held
            assert (held.rule, held.preview) == ("wait", "may I?")
            assert source.held_payload(held) == b"may I?"
            source.resolve_hold(held, "wait")
            await until(lambda: source.snapshot().held[0].limit_ms > held.limit_ms, "its time anew")
            source.resolve_hold(held, "edit", b"I shall")
            assert await text_of(client) == "I shall"
            with pytest.raises(WsinspectError, match="released"):
                source.resolve_hold(held, "release")
            await until(lambda: not source.snapshot().held, "its release")

            source.switch_rule("fake", False)
            await client.send("a fake one")
            assert await text_of(client) == "a fake one"
            await until(lambda: source.snapshot().rules.rules[0].enabled is False, "the switch")

            rules.write_text(RULES.replace("replace:", "replaze:"))
            await until(lambda: "replaze" in source.snapshot().rules.error, "the mistake")
            rules.write_text(RULES)
            await until(lambda: not source.snapshot().rules.error, "that it is gone")

            await until(lambda: source.snapshot().status.frames == 6, "all frames")
            lines = source.lines(source.rows(Scope())[:])
            found = [(line.flags, line.rule) for line in lines if line.flags]
            assert found == [
                (("replaced",), "fake"), (("modified",), "fake"),
                (("held",), "wait"), (("modified",), "wait"),
            ]  # fmt: skip
            edited = next(line for line in lines if line.flags == ("held",))
            detail = source.detail(edited.row).rules
            assert detail is not None
            assert (detail.before, detail.after) == (b"may I?", [b"I shall"])
            assert detail.released is not None
            assert (detail.released.how, detail.released.by) == ("edit", "user")
        finally:
            source.close()
            await client.close()
            await server.close()
    capsys.readouterr()
    assert main(["tail", str(capture), "--format", "json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    codes = [line["code"] for line in told if line["kind"] == "note"]
    assert "judged" not in codes, "each verdict stands at its message"
    assert codes.count("released") == 1
    assert any("replaze" in line.get("error", "") for line in told)


def test_the_demo_with_rules(program: Program, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        """
version: 1
rules:
  - {id: no-heartbeats, when: {kind: ping}, then: [drop]}
  - {id: never, when: {text: {equals: this is never said}}, then: [drop]}
  - {id: hello, when: {path: /chat*, from: server, kind: text}, then: [{tag: chat}]}
"""
    )
    with program("demo", "--headless", "--duration", "3", "--rules", rules) as child:
        out, err = child.communicate(timeout=60)
    text = out.decode()
    assert child.returncode == 0, err
    assert "rule hits" in text
    assert "  without a hit: never" in text
    (heartbeats,) = [line for line in text.splitlines() if line.startswith("  no-heartbeats")]
    hits, dropped = (words.split()[-2 if "hit" in words else 0] for words in heartbeats.split(","))
    assert hits == dropped
    assert int(hits) > 0
