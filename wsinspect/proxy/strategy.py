"""When the server's connection is opened: each mode's own way, where mitmproxy has one for all.

Lazy in reverse mode: a refused server becomes a 502 with a known URL. Eager elsewhere: the answer to a
CONNECT or to SOCKS can tell that the server failed, and TLS is agreed on with the server before the client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, cast

from mitmproxy import connection, options, tls
from mitmproxy.proxy import mode_specs, server

type Strategy = Literal["lazy", "eager"]


def strategy_of(mode: mode_specs.ProxyMode) -> Strategy:
    return "lazy" if isinstance(mode, mode_specs.ReverseMode) else "eager"


def strategy_for(modes: Iterable[mode_specs.ProxyMode]) -> Strategy:
    """mitmproxy's option: the modes' own where they agree, else eager."""
    found = {strategy_of(mode) for mode in modes}
    return found.pop() if len(found) == 1 else "eager"


class OptionsView:
    """The options of a proxy, some of them with values of one connection's own."""

    def __init__(self, shared: options.Options, **own: Any) -> None:
        self._shared = shared
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return self._own[name] if name in self._own else getattr(self._shared, name)

    def __contains__(self, name: str) -> bool:
        return name in self._shared


class StrategyPerMode:
    """An addon for several modes at once. Loaded behind TlsConfig, whose answer it corrects."""

    def __init__(self, handler_of: Callable[[str], server.ConnectionHandler | None]) -> None:
        self._handler_of = handler_of

    def client_connected(self, client: connection.Client) -> None:
        """Before the first layer starts; every later layer's context is a fork of this one."""
        handler = self._handler_of(client.id)
        if handler is not None:
            context = handler.layer.context
            view = OptionsView(context.options, connection_strategy=strategy_of(client.proxy_mode))
            context.options = cast(options.Options, view)

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        eager = data.context.options.connection_strategy == "eager"
        data.establish_server_tls_first = data.context.server.tls and eager
