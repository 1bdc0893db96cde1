"""The proxy process: mitmproxy's master with our addon, a capture, a control socket, and an orderly end."""

from __future__ import annotations

import asyncio
import difflib
import logging
import os
import resource
import signal
import sys
from typing import Any

from mitmproxy import exceptions, options
from mitmproxy.addons import (
    block,
    core,
    disable_h2c,
    next_layer,
    proxyauth,
    script,
    tlsconfig,
    upstream_auth,
)
from mitmproxy.master import Master
from mitmproxy.proxy import mode_specs

import wsinspect
from wsinspect.capture.files import keep_last, new_capture_path
from wsinspect.capture.ring import sweep
from wsinspect.capture.scribe import Move
from wsinspect.capture.segments import DEFAULT_LIMIT
from wsinspect.capture.writer import Writer
from wsinspect.control.protocol import CaptureMoved, NoticeEvent, ProxyInfo, encode_hello
from wsinspect.control.settings import ProxySettings
from wsinspect.errors import Unavailable, UsageError
from wsinspect.proxy import contract, memory, modes
from wsinspect.proxy.addon import WsInspect
from wsinspect.proxy.authority import make_authority
from wsinspect.proxy.control_server import ControlServer
from wsinspect.proxy.loop import new_loop
from wsinspect.proxy.rulebook import LoadedRules, RuleSource
from wsinspect.proxy.strategy import StrategyPerMode, strategy_for, strategy_of

logger = logging.getLogger(__name__)

KEPT_CAPTURES = 10
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOP_LIMIT_S = 1.7
"""Seconds for the peers of live connections to answer our FIN; the process ends within 2 s."""


def run_proxy(settings: ProxySettings) -> int:
    """Run until SIGINT, SIGTERM or `ctl stop`; the exit code. Raises WsinspectError where it cannot start."""
    sys.setswitchinterval(
        0.0005
    )  # at Python's 5 ms the capture's writer lags half a second behind a busy relay
    raise_file_limit()
    memory.keep_freed()
    parsed = modes.parse_modes(settings.modes)
    specs = modes.with_ports(parsed, settings.listen_host, settings.listen_port)
    rules = LoadedRules.of(rule_source(settings))
    make_authority(settings.options)
    writer = open_writer(settings)
    try:
        if settings.save and settings.capture is None:
            keep_last(KEPT_CAPTURES)
        proxy = _Proxy(settings, specs, parsed, writer, rules)
        return asyncio.run(proxy.run(), loop_factory=new_loop)
    finally:
        writer.close()


def open_writer(settings: ProxySettings) -> Writer:
    """The capture that the settings ask for. Raises what Writer does."""
    sweep()
    if not settings.save:
        return Writer(None, pressure=settings.capture_pressure)
    limit = settings.capture_limit
    if limit is None:
        limit = DEFAULT_LIMIT if settings.capture is None else 0
    path = settings.capture or new_capture_path()
    return Writer(path.absolute(), limit=limit, memory=True, pressure=settings.capture_pressure)


def rule_source(settings: ProxySettings) -> RuleSource:
    """Where the settings say that rules come from."""
    return RuleSource(tuple(settings.rules), settings.allow_python, settings.shadow, settings.reload)


def raise_file_limit() -> None:
    """Each connection takes two descriptors: the soft limit becomes the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):  # macOS: hard may be unlimited, which the kernel then refuses
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 10240)), hard))


class _Proxy:
    """One run of the proxy."""

    def __init__(
        self,
        settings: ProxySettings,
        specs: list[str],
        parsed: list[mode_specs.ProxyMode],
        writer: Writer,
        rules: LoadedRules,
    ) -> None:
        self.settings = settings
        self.specs = specs
        self.parsed = parsed
        self.writer = writer
        self.strategy = strategy_for(parsed)
        self.mixed = any(strategy_of(mode) != self.strategy for mode in parsed)
        self.addon = WsInspect(writer, stream_others=True, rules=rules)
        self.stopping = asyncio.Event()
        self.control: ControlServer | None = None
        self.failure: Unavailable | None = None
        """Why it ended by itself."""

    async def run(self) -> int:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(_report)  # for what comes after mitmproxy's own
        started = _Started()
        master = self._master(started)
        for number in STOP_SIGNALS:  # not by the loop, which would put the defaults back before we are done
            signal.signal(number, lambda *_: self.loop.call_soon_threadsafe(self.stopping.set))
        modes.watch_redirector(self.parsed, self._redirector_ended)
        task = asyncio.create_task(master.run(), name="mitmproxy")
        try:
            await asyncio.wait(
                [task, asyncio.create_task(started.event.wait()), asyncio.create_task(self.stopping.wait())],
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not self.stopping.is_set():
                if task.done():
                    await task
                memory.spare_the_start()
                await self._serve(master)
        finally:
            if self.control is not None:
                await self.control.close()
            master.shutdown()
            await asyncio.wait([task], timeout=2)
            modes.end_redirector(self.parsed)
            for number in STOP_SIGNALS:  # a second one must not cost the capture its end, nor the exit code
                signal.signal(number, signal.SIG_IGN)
        if self.failure is not None:
            raise self.failure
        return 0

    async def _serve(self, master: Master) -> None:
        servers = master.addons.get("proxyserver").servers
        listening = modes.listeners(servers)
        info = ProxyInfo(wsinspect.__version__, os.getpid(), str(self.writer.path), tuple(listening))
        self.control = ControlServer(
            info,
            self.addon.relays,
            self.addon.attempts,
            self.addon.rulebook,
            self.addon.holding,
            self.writer,
            on_stop=self.stopping.set,
        )
        self.addon.rulebook.say = say
        await self.control.start()
        self.writer.on_trouble = self._trouble
        self.writer.on_move = self._moved
        self._watch_parent()
        for each in listening:
            host = f"[{each.host}]" if ":" in each.host else each.host
            say(f"listening on {host}:{each.port} ({each.mode})")
        for remark in modes.remarks(servers):
            say(remark)
        if not self.settings.quiet:
            say(f"capture {self._where()}")
            for line in self.addon.rulebook.words():
                say(line)
        self._tell_ready(self.control.info())
        await self.stopping.wait()
        for server in servers:  # no new connections while the old ones end
            await server.stop()
        await self.addon.relays.stop(STOP_LIMIT_S)
        if not self.settings.quiet:
            say(self._summary())

    def _master(self, started: _Started) -> Master:
        master = Master(options.Options())
        master.addons.add(
            core.Core(),
            block.Block(),
            proxyauth.ProxyAuth(),
            disable_h2c.DisableH2C(),
            contract.PatientProxyserver(),
            next_layer.NextLayer(),
            tlsconfig.TlsConfig(),
            *self._strategy_per_mode(master),
            upstream_auth.UpstreamAuth(),
            self.addon,
            *([script.ScriptLoader()] if self.settings.scripts else []),
            started,
        )
        own: dict[str, Any] = {
            "mode": self.specs,
            "listen_host": self.settings.listen_host,
            "tcp_timeout": contract.NO_TIMEOUT_S,
            "validate_inbound_headers": False,
            "connection_strategy": self.strategy,
            "ssl_insecure": self.settings.ssl_insecure,
            "wsinspect_path": self.settings.path,
        }
        if self.settings.scripts:
            own["scripts"] = self.settings.scripts
        _silence_mitmproxy(self.settings.verbose)
        try:
            master.options.update(**own)
            self._set(master)
        except exceptions.OptionsError as exc:
            raise UsageError(str(exc)) from exc
        return master

    def _strategy_per_mode(self, master: Master) -> list[StrategyPerMode]:
        """Nothing where the modes agree, or the user has chosen."""
        if not self.mixed or "connection_strategy" in self.settings.options:
            return []
        return [StrategyPerMode(lambda client: master.addons.get("proxyserver").connections.get(client))]

    def _set(self, master: Master) -> None:
        for name, value in self.settings.options.items():
            if name not in master.options:
                near = difflib.get_close_matches(name, list(master.options.keys()), 1)
                raise UsageError(
                    f"--set {name}: no such option" + (f"; did you mean {near[0]}?" if near else "")
                )
            master.options.set(f"{name}={value}")

    def _tell_ready(self, info: ProxyInfo) -> None:
        if self.settings.ready_fd is not None:
            with os.fdopen(self.settings.ready_fd, "wb") as ready:
                ready.write(encode_hello(info))

    def _watch_parent(self) -> None:
        """The screen's pipe: when it closes, the proxy says so once and lives on."""
        fd = self.settings.parent_fd
        if fd is None:
            return

        def gone() -> None:
            if os.read(fd, 4096) == b"":
                self.loop.remove_reader(fd)
                os.close(fd)
                text = "the screen is gone; the proxy goes on without it (wsinspect attach)"
                self.addon.attempts.notice(0, "headless", text)
                say(text)

        self.loop.add_reader(fd, gone)

    def _redirector_ended(self, text: str) -> None:
        """From a thread of mitmproxy_rs."""
        if not self.stopping.is_set():
            self.failure = Unavailable(text)
            self.loop.call_soon_threadsafe(self.stopping.set)

    def _trouble(self, text: str) -> None:
        """From the writer's thread."""
        self.loop.call_soon_threadsafe(self._tell_trouble, text)

    def _tell_trouble(self, text: str) -> None:
        say(text)
        if self.control is not None:
            self.control.tell(NoticeEvent(text, "error"))

    def _moved(self, move: Move) -> None:
        """From the writer's thread."""
        self.loop.call_soon_threadsafe(self._tell_move, move)

    def _tell_move(self, move: Move) -> None:
        say(move.text)
        self.addon.attempts.notice(0, "capture-moved", move.text)
        if self.control is not None:
            self.control.tell(CaptureMoved(str(move.path), move.position, move.left, move.saved))
            self.control.tell(NoticeEvent(move.text, "warning" if move.saved else "error"))

    def _where(self) -> str:
        path = self.writer.saved
        return str(path) if path is not None else f"in memory ({self.writer.path}), until the end"

    def _summary(self) -> str:
        relays, attempts = self.addon.relays, self.addon.attempts
        plural = "" if attempts.total == 1 else "s"
        failed = f", {attempts.failed} failed" if attempts.failed else ""
        gaps = f", {self.writer.gaps} reads missing from the capture" if self.writer.gaps else ""
        seen = f"{relays.frames:,} frames, {relays.wire_bytes:,} bytes{gaps}"
        named = self.writer.named
        capture = self.writer.saved or ("not saved" if named is None else f"{named} has been deleted")
        return f"{attempts.total} connection{plural}{failed}, {seen}; capture {capture}"


class _Started:
    """Tells when mitmproxy runs."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def running(self) -> None:
        self.event.set()


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Connections that our own end cancels are no fault; Python 3.12.1 prints a traceback of each."""
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


def _silence_mitmproxy(verbose: int) -> None:
    """mitmproxy's narration goes to stderr from its warnings on, with -v all of it."""
    level = (logging.ERROR, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = logging.StreamHandler()
    handler.setFormatter(
        logging.Formatter("wsinspect: %(message)s" if verbose else "wsinspect: %(message).300s")
    )
    handler.setLevel(level)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    if not verbose:  # modes.listeners says it where a mode does not start
        logging.getLogger("mitmproxy.addons.proxyserver").setLevel(logging.CRITICAL)


def say(text: str) -> None:
    """Narration, on stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
