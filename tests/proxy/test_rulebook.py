from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wsinspect.control.protocol import RulesEvent
from wsinspect.errors import BadRules, NotFound
from wsinspect.model import Requested, Ruled
from wsinspect.proxy.rulebook import AT_ONCE, MOST_ERROR_LINES, LoadedRules, Rulebook, RuleSource

GOOD = "version: 1\nrules:\n  - {id: one, when: {kind: text}, then: [drop]}\n"
MORE = GOOD + "  - {id: two, when: {kind: ping}, then: [drop]}\n"


class Book:
    """A rulebook over one file, and what it told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.noted: list[Ruled] = []
        self.told: list[RulesEvent] = []
        self.put_on: list[int] = []
        source = RuleSource((path,), reload=False)
        self.book = Rulebook(
            LoadedRules.of(source), self.noted.append, lambda conn, _: self.put_on.append(conn)
        )
        self.book.tell = self.told.append


@pytest.fixture
async def each(tmp_path: Path) -> AsyncIterator[Book]:
    path = tmp_path / "a.yaml"
    path.write_text(GOOD)
    found = Book(path)
    found.book.start()
    yield found
    found.book.close()


def request(path: str = "/") -> Requested:
    return Requested(url=f"ws://host{path}")


async def test_what_holds_is_noted_and_told(each: Book) -> None:
    assert [(fact.rules, fact.error) for fact in each.noted] == [(["one"], "")]
    each.path.write_text(MORE)
    await each.book.reload()
    assert each.noted[-1].rules == ["one", "two"]
    assert each.told[-1].rules == ("one", "two")
    await each.book.switch(["two"], False)
    assert (each.noted[-1].off, each.told[-1].off) == (["two"], ("two",))
    with pytest.raises(NotFound, match="did you mean two"):
        await each.book.switch(["one", "twoo"], False)
    assert each.noted[-1].off == ["two"]  # all or none: `one` is still on
    assert [rule.enabled for rule in each.book.rules.rules] == [True, False]
    brief = each.book.brief()
    assert brief is not None
    assert (brief.count, brief.off) == (2, 1)


async def test_a_reload_reaches_all_that_live_and_no_other(each: Book) -> None:
    count = 3 * AT_ONCE
    rules = {conn: each.book.begin(conn, request(f"/{conn}")) for conn in range(1, count + 1)}
    each.book.forget(2)
    each.path.write_text(MORE)
    reloading = asyncio.create_task(each.book.reload())
    while not each.put_on:
        await asyncio.sleep(0)
    assert len(each.put_on) == AT_ONCE  # the loop has its turn before the others
    each.book.forget(count)  # it ends meanwhile
    await reloading
    assert each.put_on == [conn for conn in range(1, count) if conn != 2]
    for conn in each.put_on:
        found = rules[conn]
        assert found is not None
        assert found.ruleset.ids == ("one", "two")
    late = each.book.begin(count + 1, request())
    assert late is not None
    assert late.ruleset.ids == ("one", "two")


async def test_a_file_with_mistakes_changes_nothing_but_the_error(each: Book) -> None:
    each.book.begin(1, request())
    each.path.write_text("version: 1\nrules:\n" + "".join(f"  - {{id: r{n}, wen: 1}}\n" for n in range(300)))
    with pytest.raises(BadRules):
        await each.book.reload()
    assert each.put_on == []
    assert each.book.rules.ids == ("one",)
    lines = each.noted[-1].error.splitlines()
    assert each.noted[-1].rules == ["one"]
    assert len(lines) == MOST_ERROR_LINES + 1
    assert lines[-1].endswith("more")
    assert each.told[-1].error == each.book.status().error == each.noted[-1].error
    each.path.write_text(GOOD)
    await each.book.reload()
    assert each.book.status().error == ""


async def test_switches_and_counts_outlive_a_reload_that_leaves_the_rule_alone(each: Book) -> None:
    each.book.rules.hits.hit("one")
    await each.book.switch(["one"], False)
    each.path.write_text(MORE)
    await each.book.reload()
    one, two = each.book.status().rules
    assert (one.enabled, one.hits, two.enabled, two.hits) == (False, 1, True, 0)
    each.path.write_text(MORE.replace("kind: text", "kind: binary"))
    await each.book.reload()
    assert each.book.status().rules[0].hits == 0


async def test_without_files_there_are_no_rules() -> None:
    told: list[Ruled] = []
    book = Rulebook(LoadedRules.none(), told.append, lambda conn, rules: None)
    book.start()
    assert book.begin(1, request()) is None
    assert (book.brief(), book.words(), told) == (None, [], [])
    book.close()


async def test_rules_from_elsewhere_take_their_place(each: Book, tmp_path: Path) -> None:
    other = tmp_path / "b.yaml"
    other.write_text(MORE)
    each.book.begin(1, request())
    each.book.adopt(LoadedRules.of(RuleSource((other,), reload=False)))
    while each.book.rules.ids != ("one", "two"):
        await asyncio.sleep(0)
    while len(each.noted) < 2:
        await asyncio.sleep(0)
    assert each.put_on == [1]
    assert each.noted[-1].files == [str(other)]
