"""What a user's function may raise: whatever it is, the proxy lives on, and still hears a real Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import own_stage
from tests.proxy.conftest import open_through
from tests.proxy.running import facts
from wsinspect.control.client import ControlClient
from wsinspect.control.protocol import ControlError
from wsinspect.model import Notice, Side
from wsinspect.wire.frames import FrameDecoder, encode_frame

ENDING = ("KeyboardInterrupt()", "SystemExit(3)", "GeneratorExit()", "asyncio.CancelledError()")
"""What is no Exception, and elsewhere ends a thread, a task or the program."""


def rule_file(kinds: tuple[str, ...]) -> str:
    lines = [
        f"  - {{id: r{n}, when: {{text: kind {n}}}, then: [{{python: mine:f{n}}}]}}"
        for n in range(len(kinds))
    ]
    lines.append("  - {id: last, when: {text: change me}, then: [{payload: changed}]}")
    return "\n".join(["version: 1", "rules:", *lines])


async def test_what_a_function_raises_never_ends_the_proxy(runtime: Path, tmp_path: Path) -> None:
    module = "import asyncio\n" + "".join(
        f"def f{n}(message):\n    raise {kind}\n" for n, kind in enumerate(ENDING)
    )
    (tmp_path / "mine.py").write_text(module)
    (tmp_path / "rules.yaml").write_text(rule_file(ENDING))
    with own_stage(
        tmp_path, "--rules", str(tmp_path / "rules.yaml"), "--allow-python", "--no-reload"
    ) as stage:
        both = await open_through(stage, client_tls=False, server_tls=False)
        sent = [f"kind {n}" for n in range(len(ENDING)) for _ in range(2)] + ["change me"]
        for text in sent:
            both.client.send(encode_frame(1, text.encode(), mask=b"1234"))

        def arrived() -> list[str]:
            frames = FrameDecoder(Side.CLIENT).receive(bytes(both.server.received))
            return [frame.payload.decode() for frame in frames]

        await both.server.until(lambda end: len(arrived()) == len(sent))
        assert arrived() == [*sent[:-1], "changed"]

        # A module that raises it as it is loaded anew: the old rules stay.
        (tmp_path / "mine.py").write_text("raise KeyboardInterrupt\n")
        with ControlClient(stage.proxy.process.pid) as control:
            with pytest.raises(ControlError, match=r"mine\.py cannot be imported: KeyboardInterrupt"):
                await asyncio.to_thread(control.reload)
            assert len(control.rules().rules) == len(ENDING) + 1

        assert stage.proxy.stop(signal.SIGINT) == 0
        said = [
            each.text for each in facts(stage.proxy.events(both.target), Notice) if each.code == "rule-failed"
        ]
        assert len(said) == len(ENDING)
        for n, kind in enumerate(ENDING):
            name = kind.partition("(")[0].removeprefix("asyncio.")
            assert said[n].startswith(
                f"rule r{n} failed and is off for this connection: mine:f{n} raised {name}"
            )
