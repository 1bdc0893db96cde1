"""Promise 8: a fault in wsinspect never ends a connection, and it says so once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxy.conftest import Stage, open_through, staged
from tests.proxy.running import facts
from wsinspect.model import Notice
from wsinspect.wire.frames import encode_frame

SABOTAGE = Path(__file__).with_name("sabotage.py")


@pytest.fixture(scope="module")
def sabotaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    yield from staged(tmp_path_factory.mktemp("sabotaged"), "-s", str(SABOTAGE))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("where", ["receive", "append", "settle"])
async def test_bytes_pass_where_our_own_code_raises(sabotaged: Stage, where: str, tls: bool) -> None:
    both = await open_through(sabotaged, client_tls=tls, server_tls=tls)
    poison = encode_frame(1, f"raise in {where}".encode())
    ordinary = encode_frame(1, b"ordinary")
    for sent in (ordinary, poison, ordinary, poison):
        both.server.send(sent)
    stream = ordinary + poison + ordinary + poison
    assert await both.client.got(len(stream)) == stream
    answer = encode_frame(1, b"the other direction", mask=b"\0\0\0\0")
    both.client.send(answer)
    assert await both.server.got(len(answer)) == answer
    both.server.fin()
    await both.client.until(lambda end: "fin" in end.ends)
    both.client.fin()
    await both.server.until(lambda end: "fin" in end.ends)
    events = await sabotaged.proxy.over(both.target)
    notices = [notice for notice in facts(events, Notice) if notice.code == "fault"]
    assert len(notices) == 1
    assert "RuntimeError" in notices[0].text


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_an_end_is_mirrored_where_our_own_code_raises(sabotaged: Stage, tls: bool) -> None:
    both = await open_through(sabotaged, client_tls=tls, server_tls=tls)
    poison = encode_frame(1, b"raise in end")
    both.server.send(poison)
    assert await both.client.got(len(poison)) == poison
    both.server.fin()
    await both.client.until(lambda end: "fin" in end.ends)
    both.client.reset()
    await sabotaged.proxy.over(both.target)
