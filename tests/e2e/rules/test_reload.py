"""Rules loaded anew while connections live: on a change of the file, and by command."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import own_stage
from tests.e2e.program import wsinspect
from tests.proxy.conftest import Opened, Stage, open_through
from tests.proxy.running import TIMEOUT_S, facts
from wsinspect.control.client import ControlClient, EventReader
from wsinspect.control.protocol import RulesEvent
from wsinspect.model import Notice, Ruled, Side
from wsinspect.wire.deflate import DeflateParams, Deflater
from wsinspect.wire.frames import FrameDecoder, encode_frame
from wsinspect.wire.messages import MessageAssembler

MASK = b"\x01\x02\x03\x04"


def rule(word: str, *, name: str = "mark") -> str:
    """A rule that puts `word` behind each text message."""
    return (
        f"version: 1\nrules:\n  - id: {name}\n    when: {{kind: text}}\n"
        f"    then: [{{replace: {{regex: '^(.*)$', with: '\\1 {word}'}}}}]\n"
    )


@dataclass
class Reloading:
    stage: Stage
    path: Path
    events: EventReader

    @property
    def pid(self) -> str:
        return str(self.stage.proxy.process.pid)

    async def next_event(self) -> RulesEvent:
        event = await asyncio.to_thread(self.events.next, TIMEOUT_S)
        assert isinstance(event, RulesEvent)
        return event


@contextmanager
def reloading(tmp: Path, text: str, *words: str) -> Iterator[Reloading]:
    path = tmp / "rules" / "a.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with (
        own_stage(tmp, "--rules", str(path.parent), *words) as stage,
        ControlClient(stage.proxy.process.pid) as control,
        closing(control.watch(attached=False)) as events,
    ):
        yield Reloading(stage, path, events)


async def ruled_facts(each: Reloading, count: int) -> list[Ruled]:
    """Which rules held since the start, once the capture has that many."""
    return facts(await each.stage.proxy.until(lambda events: len(facts(events, Ruled)) >= count), Ruled)


async def said(both: Opened, text: str) -> tuple[str, str]:
    """What each side gets when both say this."""
    both.client.received.clear()
    both.server.received.clear()
    both.client.send(encode_frame(1, text.encode(), mask=MASK))
    both.server.send(encode_frame(1, text.encode()))
    found = []
    for end, sender in ((both.server, Side.CLIENT), (both.client, Side.SERVER)):
        await end.until(lambda end, sender=sender: bool(FrameDecoder(sender).receive(bytes(end.received))))  # type: ignore[misc]
        [frame] = FrameDecoder(sender).receive(bytes(end.received))
        found.append(frame.payload.decode())
    return found[0], found[1]


@pytest.mark.parametrize("path", ["takeover", "layer"])
async def test_a_changed_file_reaches_open_connections(tmp_path: Path, path: str) -> None:
    more = ["--path", "layer"] if path == "layer" else []
    with reloading(tmp_path, rule("one"), *more) as each:
        server = await each.stage.server(False).start()
        before = await open_through(each.stage, client_tls=False, server_tls=False, listening=server)
        secret = await open_through(each.stage, client_tls=True, server_tls=True)
        assert await said(before, "hi") == ("hi one", "hi one")
        each.path.write_text(rule("two"))
        assert (await each.next_event()).rules == ("mark",)
        assert await said(before, "hi") == ("hi two", "hi two")
        assert await said(secret, "hi") == ("hi two", "hi two")
        (each.path.parent / "b.yaml").write_text(rule("three", name="other"))
        assert (await each.next_event()).rules == ("mark", "other")
        after = await open_through(each.stage, client_tls=False, server_tls=False, listening=server)
        for both in (before, secret, after):
            assert await said(both, "hi") == ("hi two three", "hi two three")
        each.path.write_text("version: 1\nrules: []\n")
        (each.path.parent / "b.yaml").unlink()
        assert (await each.next_event()).rules == ()
        for both in (before, secret, after):
            assert await said(both, "hi") == ("hi", "hi")
        ruled = await ruled_facts(each, 4)
        assert [fact.rules for fact in ruled] == [["mark"], ["mark"], ["mark", "other"], []]


async def test_an_editor_that_replaces_the_file(tmp_path: Path) -> None:
    with reloading(tmp_path, rule("one")) as each:
        both = await open_through(each.stage, client_tls=False, server_tls=False)
        new = each.path.with_name(".a.yaml.swp")
        new.write_text(rule("two"))
        os.replace(new, each.path)
        await each.next_event()
        assert await said(both, "hi") == ("hi two", "hi two")


async def test_a_bad_file_keeps_the_old_rules(tmp_path: Path) -> None:
    with reloading(tmp_path, rule("one")) as each:
        both = await open_through(each.stage, client_tls=False, server_tls=False)
        each.path.write_text(rule("two").replace("when", "wen").replace("then", "than"))
        event = await each.next_event()
        assert event.rules == ("mark",)
        assert len(event.error.splitlines()) >= 2
        assert f"{each.path}:4:5: " in event.error
        assert await said(both, "hi") == ("hi one", "hi one")
        status = await wsinspect("ctl", "status", each.pid)
        assert f"not loaded   {each.path}:4:5: " in status.out
        reload = await wsinspect("ctl", "reload", "--proxy", each.pid)
        assert (reload.code, reload.out) == (2, "")
        assert "did you mean when?" in reload.err
        assert "did you mean then?" in reload.err
        await each.next_event()
        assert await said(both, "hi") == ("hi one", "hi one")
        each.path.write_text(rule("two"))
        event = await each.next_event()
        assert event.error == ""
        assert await said(both, "hi") == ("hi two", "hi two")
        status = await wsinspect("ctl", "status", each.pid)
        assert "not loaded" not in status.out
        stderr = each.stage.proxy.stderr
        assert stderr.count("the rules stay as they were") == 1  # the command tells its own user
        assert stderr.count("the rules were loaded anew") == 1
        errors = [fact.error for fact in await ruled_facts(each, 4)]
        assert [bool(error) for error in errors] == [False, True, True, False]


async def test_by_command_only(tmp_path: Path) -> None:
    with reloading(tmp_path, rule("one"), "--no-reload") as each:
        both = await open_through(each.stage, client_tls=False, server_tls=False)
        each.path.write_text(rule("two"))
        await asyncio.sleep(2.5)  # longer than it would take to notice
        assert await said(both, "hi") == ("hi one", "hi one")
        done = await wsinspect("ctl", "reload", "--proxy", each.pid)
        assert (done.code, done.err) == (0, f"wsinspect: 1 rule loaded of {each.path.parent}\n")
        assert await said(both, "hi") == ("hi two", "hi two")


async def test_rules_are_switched_by_command(tmp_path: Path) -> None:
    with reloading(tmp_path, rule("one")) as each:
        both = await open_through(each.stage, client_tls=False, server_tls=False)
        assert await said(both, "hi") == ("hi one", "hi one")
        done = await wsinspect("ctl", "rules", "off", "mark", "--proxy", each.pid)
        assert done.code == 0, done.err
        assert (await each.next_event()).off == ("mark",)
        assert await said(both, "hi") == ("hi", "hi")
        listed = await wsinspect("ctl", "rules", "--proxy", each.pid)
        assert listed.out.startswith("off  mark         2 hits")
        each.path.write_text(rule("one") + "\n# another comment\n")
        assert (await each.next_event()).off == ("mark",)  # what was switched by hand stays switched
        assert await said(both, "hi") == ("hi", "hi")
        assert (await wsinspect("ctl", "rules", "on", "mark", "--proxy", each.pid)).code == 0
        assert await said(both, "hi") == ("hi one", "hi one")
        assert (await ruled_facts(each, 2))[1].off == ["mark"]
        wrong = await wsinspect("ctl", "rules", "on", "marc", "--proxy", each.pid)
        assert wrong.code == 2
        assert "did you mean mark?" in wrong.err


async def test_a_file_that_an_action_reads_counts_too(tmp_path: Path) -> None:
    text = "version: 1\nrules:\n  - {id: canned, when: {kind: text}, then: [{payload: {file: body.txt}}]}\n"
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "body.txt").write_text("first")
    with reloading(tmp_path, text) as each:
        both = await open_through(each.stage, client_tls=False, server_tls=False)
        assert await said(both, "hi") == ("first", "first")
        (each.path.parent / "body.txt").write_text("second")
        await each.next_event()
        assert await said(both, "hi") == ("second", "second")


async def test_without_rules_there_is_nothing_to_reload(stage: Stage) -> None:
    done = await wsinspect("ctl", "reload", "--proxy", str(stage.proxy.process.pid))
    assert done.code == 3
    assert "without rules" in done.err


COMPRESSED = "permessage-deflate"
WORDS = b"the same words again and again"


@pytest.mark.parametrize("path", ["takeover", "layer"])
async def test_rules_that_come_late_find_in_the_capture_what_messages_refer_to(
    tmp_path: Path, path: str
) -> None:
    """All messages refer to the first one, from before any rule looked at the server's."""
    more = ["--path", "layer"] if path == "layer" else []
    drop = "version: 1\nrules: [{id: d, when: {from: server, text: {contains: secret}}, then: [drop]}]\n"
    with reloading(tmp_path, "version: 1\nrules: []\n", *more) as each:
        both = await open_through(
            each.stage,
            client_tls=False,
            server_tls=False,
            ask={"Sec-WebSocket-Extensions": COMPRESSED},
            Sec_WebSocket_Extensions=COMPRESSED,
        )
        deflater, client = Deflater(), MessageAssembler(Side.SERVER, DeflateParams())

        def say(text: bytes) -> None:
            both.server.send(encode_frame(1, deflater.deflate(text), rsv=4))

        async def heard(last: bytes) -> list[bytes]:
            """What the client gets up to this message."""
            decoder, found = FrameDecoder(Side.SERVER, rsv_allowed=4), list[bytes]()
            while last not in found:
                await both.client.until(lambda end: len(end.received) > decoder.offset)
                data = bytes(both.client.received)[decoder.offset :]
                messages = map(client.receive, decoder.receive(data))
                found += [message.payload for message in messages if message is not None]
            both.client.received.clear()
            return found

        say(WORDS)
        assert await heard(WORDS) == [WORDS]
        each.path.write_text(drop)
        await each.next_event()
        await each.stage.proxy.until(
            lambda events: "window-found" in [notice.code for notice in facts(events, Notice)], both.target
        )
        say(b"secret " + WORDS)
        say(b"known " + WORDS)
        assert await heard(b"known " + WORDS) == [b"known " + WORDS]
