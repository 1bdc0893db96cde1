"""Several modes at once, each with its own way of opening the server's connection."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from mitmproxy.proxy import mode_specs
from mitmproxy.test import taddons

from tests.modes.conftest import words
from tests.modes.ways import Refused, by_connect, by_socks, secured, upgrade
from tests.proxy.running import RunningProxy, facts, free_port
from wsinspect.model import Failed, Requested
from wsinspect.peer.errors import ConnectFailed
from wsinspect.peer.stream import Stream
from wsinspect.peer.tcp import connect_tcp
from wsinspect.proxy.strategy import OptionsView, strategy_for


def test_the_option_for_all() -> None:
    parsed = [mode_specs.ProxyMode.parse(spec) for spec in ("reverse:http://x", "regular")]
    assert strategy_for(parsed[:1]) == "lazy"
    assert strategy_for(parsed) == strategy_for(parsed[1:]) == "eager"


def test_a_view_shows_the_shared_options_but_for_its_own() -> None:
    with taddons.context() as loaded:
        view = OptionsView(loaded.options, connection_strategy="lazy")
        assert view.connection_strategy == "lazy"
        assert view.listen_host == loaded.options.listen_host
        loaded.options.update(listen_host="::1")
        assert view.listen_host == "::1"
        assert "listen_host" in view
        assert "no_such_option" not in view
        with pytest.raises(AttributeError):
            _ = view.no_such_option


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_beside_regular_a_reverse_mode_still_answers_502(
    tmp_path: Path, confdir: Path, tls: bool
) -> None:
    """Eager, it would have ended the connection before there was a request, and the URL unknown."""
    nobody = free_port()
    specs = ["regular", "socks5", f"reverse:http{'s' if tls else ''}://127.0.0.1:{nobody}"]
    with RunningProxy(tmp_path / "a.wscap", specs, *words(confdir)) as proxy:
        target = f"/{uuid4().hex}"
        url = f"{'wss' if tls else 'ws'}://127.0.0.1:{nobody}{target}"
        stream: Stream = await connect_tcp(("127.0.0.1", proxy.ports[2]))
        if tls:
            stream = await secured(stream)
        with pytest.raises(Refused) as refused:
            await upgrade(stream, url)
        assert refused.value.response.status == 502
        events = await proxy.over(target)
        assert [each.url for each in facts(events, Requested)] == [url]
        assert [(each.phase, each.errno) for each in facts(events, Failed)] == [("connect", "ECONNREFUSED")]
        with pytest.raises(ConnectFailed, match="502"):
            await by_connect(("127.0.0.1", proxy.ports[0]), url)
        with pytest.raises(ConnectFailed, match="host unreachable"):
            await by_socks(("127.0.0.1", proxy.ports[1]), url)


async def test_the_users_choice_holds_for_all(tmp_path: Path, confdir: Path) -> None:
    nobody = free_port()
    specs = ["regular", f"reverse:http://127.0.0.1:{nobody}"]
    option = ("--set", "connection_strategy=eager")
    with RunningProxy(tmp_path / "a.wscap", specs, *words(confdir), *option) as proxy:
        stream = await connect_tcp(("127.0.0.1", proxy.ports[1]))
        assert await stream.read() == b""
        stream.close()
