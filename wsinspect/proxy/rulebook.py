"""The rules of a proxy: loaded whole, then swapped, and put on every connection that lives.

    load     at the start: all mistakes are told, and nothing listens
    begin    a connection's own rules, from its request on
    reload   from a thread; a file that cannot be loaded changes nothing but `error`
    switch   rules on or off

Each time the capture gets a `Ruled` fact, and those who watch an event.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from wsinspect.control.protocol import RulesBrief, RulesEvent, RulesStatus, RuleStatus
from wsinspect.errors import WsinspectError
from wsinspect.model import Requested, Ruled
from wsinspect.proxy.background import in_background
from wsinspect.proxy.file_watch import FileWatch
from wsinspect.rules.engine import ConnectionRules
from wsinspect.rules.fields import Type
from wsinspect.rules.loading import load_rules
from wsinspect.rules.ruleset import RuleSet

logger = logging.getLogger(__name__)

AT_ONCE = 10
"""Connections whose rules are replaced in one turn of the loop: 7 ms with 200 rules [measured]."""

MOST_ERROR_LINES = 200
MOST_ERROR_CHARS = 64 << 10
"""Of what is said about files that cannot be loaded; the beginning is the most useful part."""


@dataclass(frozen=True, slots=True)
class RuleSource:
    """Where rules come from, and what they may do."""

    paths: tuple[Path, ...]
    allow_python: bool = False
    shadow: bool = False
    reload: bool = True
    """When the files change."""

    def read(self) -> RuleSet:
        """Raises BadRules, with every mistake."""
        return load_rules(self.paths, allow_python=self.allow_python)


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """A source, and what was read from it."""

    source: RuleSource
    rules: RuleSet

    @classmethod
    def of(cls, source: RuleSource) -> LoadedRules:
        """Raises BadRules, with every mistake."""
        return cls(source, source.read() if source.paths else RuleSet())

    @classmethod
    def none(cls) -> LoadedRules:
        return cls.of(RuleSource(()))


class Rulebook:
    """The rules that hold now. Belongs to one event loop."""

    def __init__(
        self,
        loaded: LoadedRules,
        note: Callable[[Ruled], None],
        put_on: Callable[[int, ConnectionRules], None],
    ) -> None:
        """`note`: a fact for the capture. `put_on`: a connection has other rules, its relay must know."""
        self.source = loaded.source
        self.rules = loaded.rules
        self.error = ""
        """Why the files as they are now could not be loaded."""
        self.tell: Callable[[RulesEvent], None] = lambda _: None
        """An event for those who watch."""
        self.say: Callable[[str], None] = lambda _: None
        """A sentence for the user."""
        self._note = note
        self._put_on = put_on
        self._live: dict[int, ConnectionRules] = {}
        self._loading = asyncio.Lock()
        self._watch = FileWatch(self._watched)
        self._watching: asyncio.Task[None] | None = None
        self._adopting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Record what holds, and look after the files from now on."""
        self.close()
        if not self.source.paths:
            return
        self._tell()
        if self.source.reload:
            self._watching = asyncio.get_running_loop().create_task(self._follow(), name="wsinspect: rules")

    def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def adopt(self, loaded: LoadedRules) -> None:
        """Rules from elsewhere, in the place of those that there are."""
        self._adopting = asyncio.get_running_loop().create_task(self._adopt(loaded), name="wsinspect: rules")

    async def _adopt(self, loaded: LoadedRules) -> None:
        async with self._loading:
            self.source = loaded.source
            self.error = ""
            self.rules = loaded.rules.after(self.rules)
            await self._replace_all()
            self.start()

    # -------------------------------------------------------------------------------------- connections

    def begin(self, conn: int, requested: Requested) -> ConnectionRules | None:
        """The rules of a new connection; call `forget` when it is over. None: the proxy has none."""
        if not self.source.paths:
            return None
        rules = self._live[conn] = ConnectionRules(
            self.rules,
            requested,
            conn=conn,
            shadow=self.source.shadow,
            epoch_ns=time.time_ns() - time.monotonic_ns(),
        )
        return rules

    def forget(self, conn: int) -> None:
        self._live.pop(conn, None)

    def url_of(self, conn: int) -> str:
        """Of a live connection with rules."""
        rules = self._live.get(conn)
        return rules.facts.url if rules is not None else ""

    # ------------------------------------------------------------------------------------------- changes

    async def reload(self) -> None:
        """Read the files anew. Raises WsinspectError where that cannot be; then the old rules stay."""
        async with self._loading:
            await self._watch.take()
            try:
                found = await in_background(self.source.read, "wsinspect: rules")
            except WsinspectError as error:
                self._failed(str(error))
                raise
            self.error = ""
            self.rules = found.after(self.rules)
            await self._replace_all()
            self._tell()

    async def switch(self, rules: Collection[str], on: bool) -> None:
        """All of them or none. Raises NotFound, with the nearest id."""
        async with self._loading:
            self.rules = self.rules.with_enabled(rules, on)
            await self._replace_all()
            self._tell()

    async def _replace_all(self) -> None:
        """Connection by connection; the traffic goes on in between."""
        for number, (conn, rules) in enumerate(list(self._live.items()), 1):
            if conn in self._live:  # it may have ended meanwhile
                rules.replace(self.rules)
                self._put_on(conn, rules)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    def _failed(self, text: str) -> None:
        lines = text.splitlines()
        if len(lines) > MOST_ERROR_LINES:
            lines = [*lines[:MOST_ERROR_LINES], f"… and {len(lines) - MOST_ERROR_LINES:,} more"]
        self.error = "\n".join(lines)[:MOST_ERROR_CHARS]
        self._tell()

    def _tell(self) -> None:
        files = [str(path) for path in self.source.paths]
        ids = list(self.rules.ids)
        off = [rule.id for rule in self.rules.rules if not rule.enabled]
        shadow, error = self.source.shadow, self.error
        self._note(Ruled(files=files, rules=ids, off=off, shadow=shadow, error=error))
        self.tell(RulesEvent(tuple(files), tuple(ids), tuple(off), shadow, error))

    # --------------------------------------------------------------------------------------------- files

    def _watched(self) -> list[Path]:
        """What was named, and what its rules have read."""
        return [*self.source.paths, *_files_of(self.rules)]

    async def _follow(self) -> None:
        await self._watch.take()
        while True:
            await self._watch.changed()
            try:
                await self.reload()
            except WsinspectError as error:
                self.say(f"the rules stay as they were:\n{error}")
            except Exception:
                logger.exception("the rule files could not be looked after")
            else:
                self.say("\n".join(["the rules were loaded anew:", *self.words()]))

    # -------------------------------------------------------------------------------------------- answers

    def status(self) -> RulesStatus:
        hits = self.rules.hits
        listed = tuple(
            RuleStatus(
                id=rule.id,
                explain=rule.explain(),
                place=f"{rule.place.file}:{rule.place.line}",
                enabled=rule.enabled,
                hits=hits.acted.get(rule.id, 0),
                failed=hits.failed.get(rule.id, 0),
            )
            for rule in self.rules.rules
        )
        files = tuple(map(str, self.source.paths))
        return RulesStatus(listed, files, self.source.shadow, self.error)

    def words(self) -> list[str]:
        """What holds, for the user; nothing where the proxy has no rules."""
        if not self.source.paths:
            return []
        count = len(self.rules.rules)
        shadow = ", in shadow: no traffic is touched" if self.source.shadow else ""
        files = ", ".join(map(str, self.source.paths))
        warnings = [f"warning: {each}" for each in self.rules.warnings]
        return [f"{count} rule{'' if count == 1 else 's'} of {files}{shadow}", *warnings]

    def brief(self) -> RulesBrief | None:
        """The same in a few numbers; None: the proxy has no rules."""
        if not self.source.paths:
            return None
        return RulesBrief(
            count=len(self.rules.rules),
            off=sum(not rule.enabled for rule in self.rules.rules),
            hits=sum(self.rules.hits.acted.values()),
            files=tuple(map(str, self.source.paths)),
            shadow=self.source.shadow,
            error=self.error,
        )


def _files_of(rules: RuleSet) -> list[Path]:
    """Files that actions name: payloads, and Python modules beside the rule files."""
    found: dict[Path, None] = {}
    for rule in rules.rules:
        for action in rule.actions:
            for field in action.fields:
                value = getattr(action, field.attribute)
                if field.type is Type.FILE and value is not None:
                    found[value] = None
                elif field.type is Type.PYTHON:
                    found[Path(rule.place.file).parent / f"{value.name.partition(':')[0]}.py"] = None
    return list(found)
