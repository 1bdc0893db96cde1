"""The pages say what the program does: links, commands, tables and examples are checked against it."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.modes.test_matrix import WAYS
from wsinspect.cli.commands import COMMANDS, load, split
from wsinspect.cli.parser import Parser
from wsinspect.model import How, Side
from wsinspect.proxy.modes import NAMES
from wsinspect.relay.ends import MIRROR, Finish, mirrored
from wsinspect.relay.states import TABLE
from wsinspect.rules.loading import load_text

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "addons/README.md", "rules/README.md")),
        *(ROOT / "docs").glob("*.md"),
    ]
)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

NOTHING = "nothing more"


def fenced(page: Path, *languages: str) -> list[str]:
    """The contents of the page's fenced blocks in these languages."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for language, text in blocks if language in languages]


def commands_in(page: Path) -> list[list[str]]:
    """The arguments of each `wsinspect …` in the page's shell blocks; pipelines are taken apart."""
    found = []
    lines = [line for text in fenced(page, "sh") for line in text.splitlines()]
    for text in fenced(page, "console"):
        lines += [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    for line in lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        command: list[str] = []
        for word in [*lexer, "|"]:
            if set(word) <= set("|&;()<>"):
                while command[:2] in (["uv", "run"], ["uv", "--no-sync"]):
                    command = command[2:]
                if command[:1] == ["wsinspect"]:
                    found.append(command[1:])
                command = []
            else:
                command.append(word)
    return found


def table_after(page: str, marker: str) -> list[list[str]]:
    """The cells of the table that follows a comment, without its head."""
    text = (ROOT / "docs" / page).read_text().partition(f"<!-- table: {marker} -->")[2]
    rows = []
    for line in text.strip().splitlines():
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows[2:]


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of the page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), target


@every_page
def test_commands_parse(page: Path) -> None:
    for words in commands_in(page):
        name, rest = split(words)
        load(name).parser.parse_args(rest)


@every_page
def test_tests_that_are_named_exist(page: Path) -> None:
    for file, function, _ in named_tests(page):
        assert (ROOT / file).is_file(), file
        assert not function or f"def {function}(" in (ROOT / file).read_text(), function


@pytest.mark.slow
def test_cases_that_are_named_exist() -> None:
    named = [
        f"{file}::{function}{case}" for page in PAGES for file, function, case in named_tests(page) if case
    ]
    assert len(named) > 50
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *sorted(set(named))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr


def named_tests(page: Path) -> list[tuple[str, str, str]]:
    """File, function and `[case]` of each test that a page names; the latter two may be empty.

    `::name` alone belongs to the file named last, `[case]` alone to the function named last.
    """
    found = []
    file = function = ""
    for match in re.finditer(r"`(tests/[\w/]+\.py)?(?:::(\w+))?(\[[\w-]+-[\w-]+\])?`", page.read_text()):
        if match[1] or match[2]:
            file, function = match[1] or file, match[2] or ""
        if any(match.groups()):
            found.append((file, function, match[3] or ""))
    return found


def test_the_table_of_modes_is_the_matrix() -> None:
    rows = table_after("transparency.md", "modes")
    assert {row[0].strip("`").partition(":")[0] for row in rows} == {name.rstrip(":") for name in NAMES}
    cases = {row[4].strip("`[]").removeprefix("takeover-"): row for row in rows if row[4].startswith("`[")}
    assert cases.keys() == WAYS.keys()
    for name, (mode, _, client, server, *cells) in cases.items():
        assert cells == [f"`[takeover-{name}]`", f"`[layer-{name}]`"]
        assert name.startswith(mode.strip("`").replace(":", "-"))
        assert client.startswith("TLS") == WAYS[name].client_tls
        assert server.startswith("TLS") == WAYS[name].server_tls


def test_commands_are_found() -> None:
    assert ["tail", "a.wscap", "--format", "json"] in commands_in(ROOT / "README.md")


def test_every_command_and_option_is_described() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    for name in COMMANDS:
        assert f"\n| [`{name}`](#{name}) | " in text
        section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, name
        described = section[1] + (text if name in ("run", "proxy", "browser", "exec") else "")
        for option in _options(load(name).parser):
            assert option in described, f"{name} {option}"
    assert "--no-config" in text


def _options(parser: Parser) -> set[str]:
    """The long options that --help shows, those of subcommands too."""
    found = set()
    for action in parser._actions:
        if action.help != argparse.SUPPRESS:
            found |= {option for option in action.option_strings if option.startswith("--")}
        if isinstance(action.choices, dict):
            for each in action.choices.values():
                found |= _options(each)
    return found - {"--help", "--no-config"}


def test_the_carriage_table_is_the_codes() -> None:
    written = {
        (carriage, turn): becomes for carriage, turn, becomes in table_after("design.md", "relay/states.py")
    }
    assert written == {
        (f"`{carriage.value}`", turn.value): f"`{after.value}`" for (carriage, turn), after in TABLE.items()
    }


def test_the_table_of_ends_is_the_codes() -> None:
    rows = table_after("design.md", "relay/ends.py")
    clean = {tuple(row[:4]): row[4] for row in rows if row[1] != "any"}
    assert clean == {
        (f"`{how.value}`", _leg(came), _leg(goes), "yes" if notified else "no"): _finishes(finishes)
        for (how, came, goes, notified), finishes in MIRROR.items()
    }
    aborts = {row[0]: row[4] for row in rows if row[1] == "any"}
    ours = {How.INSPECTOR, *(how for how, *_ in MIRROR)}
    assert aborts == {
        f"`{how.value}`": _finishes(mirrored(how, came_on_tls=False, goes_on_tls=False, notified=False))
        for how in How
        if how not in ours
    }


def test_each_row_of_the_table_of_ends_has_its_tests() -> None:
    """On both legs; an abort on whatever kinds of legs it can be had."""
    rows = table_after("transparency.md", "ends")
    keys = {tuple(row[:4]): row[4] for row in rows}
    table = table_after("design.md", "relay/ends.py")
    assert {key: sees for key, sees in keys.items() if key[0] in ("`fin`", "`close_notify`")} == {
        tuple(row[:4]): row[4] for row in table if row[1] != "any"
    }
    assert {row[0] for row in rows} == {row[0] for row in table}
    assert sum(row[0] == "`rst`" for row in rows) == 4, "a reset has each combination of legs"
    for how, came, goes, _, sees, _, *cases in rows:
        if how in ("`rst`", "`alert`", "`timeout`", "`unreachable`"):
            assert sees == "`rst`"
        if how not in ("`timeout`", "`unreachable`"):
            assert cases == [f"`[{side.word}-{came}-to-{goes}]`".lower() for side in Side]


def _leg(tls: bool) -> str:
    return "TLS" if tls else "plain"


def _finishes(finishes: tuple[Finish, ...]) -> str:
    return ", ".join(f"`{finish.value}`" for finish in finishes) or NOTHING


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "rules.md"], ids=lambda page: page.name
)
def test_rule_files_load(page: Path) -> None:
    """Those of rules.md are tested by themselves."""
    for text in fenced(page, "yaml"):
        if re.search("^version: 1$", text, re.MULTILINE):
            load_text(text)


def test_the_lines_of_the_ndjson_page_are_lines() -> None:
    lines = [
        json.loads(line) for text in fenced(ROOT / "docs" / "ndjson.md", "json") for line in text.splitlines()
    ]
    for line in lines:
        assert {"v", "t", "t_ns", "conn", "seq", "kind"} <= set(line)
    kinds = {line["kind"] for line in lines}
    assert kinds == {"open", "message", "frame", "ping", "pong", "close", "end", "error", "note"}


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "images").glob("*")), ids=lambda path: path.name)
def test_pictures_are_small_and_self_contained(picture: Path) -> None:
    assert picture.stat().st_size < 400 << 10
    if picture.suffix == ".svg":
        assert not re.search(r"(url\(|href=)[\"']?https?:", picture.read_text())
