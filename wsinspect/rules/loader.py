"""Rule files in, marked YAML out: the one place of the rules that knows pyyaml.

pyyaml's own composer resolves scalars by YAML 1.1 (`no` is false, `1:30` is 90) and forgets how they were
written, so nodes are made here from its events, bounded in depth, in size, and in what aliases repeat.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from wsinspect.errors import Problem, did_you_mean
from wsinspect.rules.marked import Items, Node, Pairs, Place, Scalar

MAX_FILE_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 100_000
"""Of one file, each alias counted as all that it repeats: a billion laughs end here."""

SUFFIXES = (".yaml", ".yml")


class _Stop(Exception):
    """The file cannot be read on."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(place.file, place.line, place.column, text)


def files_of(paths: Iterable[Path]) -> tuple[list[Path], list[Problem]]:
    """The rule files that the paths mean, in order, none twice: of a folder its YAML files, sorted."""
    files: dict[Path, Path] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
            found = _in_folder(path) if is_folder else [path]
            if not found:
                problems.append(Problem(str(path), 0, 0, _nothing_in(path)))
        except OSError as error:
            problems.append(Problem(str(path), 0, 0, _not_there(path, error)))
            continue
        for each in found:
            files.setdefault(each.resolve(), each)
    return list(files.values()), problems


def _in_folder(folder: Path) -> list[Path]:
    return sorted(
        each
        for each in folder.iterdir()
        if each.suffix.lower() in SUFFIXES and not each.name.startswith(".") and each.is_file()
    )


def _nothing_in(folder: Path) -> str:
    """What is looked for, and the one that comes nearest to it."""
    hint = ""
    for each in sorted(folder.iterdir()):
        if each.is_dir() and not each.name.startswith(".") and _in_folder(each):
            hint = f"; folders in it are not looked into: name {each} itself"
        elif each.suffix.lower() in SUFFIXES and each.name.startswith("."):
            hint = f"; {each.name} is hidden, and so left out"
    return f"no rule file in this folder: *.yaml and *.yml are looked for{hint}"


def _not_there(path: Path, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "a link that leads back to itself"
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        return f"cannot be read: {error.strerror}"
    if path.is_symlink():
        return f"a link to {path.readlink()}, which is not there"
    return f"no such file{_neighbour(path)}"


def _neighbour(path: Path) -> str:
    try:
        names = [each.name for each in path.parent.iterdir()]
    except OSError:
        return ""
    near = did_you_mean(path.name, names).removeprefix("; did you mean ").removesuffix("?")
    return f"; did you mean {path.parent / near}?" if near else ""


def load_file(path: Path) -> tuple[Node | None, list[Problem]]:
    """The file's one document; None where it holds nothing, or nothing that can be read."""
    name = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return None, [Problem(name, 0, 0, f"cannot be read: {error.strerror or error}")]
    if len(data) > MAX_FILE_BYTES:
        return None, [Problem(name, 0, 0, f"is larger than {MAX_FILE_BYTES >> 20} MiB")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        return None, [Problem(name, line, column, "is not UTF-8 here")]
    return compose(name, text)


def compose(name: str, text: str) -> tuple[Node | None, list[Problem]]:
    """The document of a text; `name` is the file's, for places."""
    fast = getattr(yaml, "CSafeLoader", None)
    if fast is not None:
        composer = _Composer(name, text, fast)
        try:
            return composer.document(), composer.problems
        except _Stop as stop:
            return None, [*composer.problems, stop.problem]
        except yaml.YAMLError:
            pass  # the other one says better what is wrong
    composer = _Composer(name, text, yaml.SafeLoader)
    try:
        return composer.document(), composer.problems
    except _Stop as stop:
        return None, [*composer.problems, stop.problem]
    except yaml.MarkedYAMLError as error:
        mark = _mark(error)
        if mark is None:
            return None, [*composer.problems, Problem(name, 0, 0, str(error))]
        what = " ".join(filter(None, (error.context, error.problem)))
        problem = Problem(name, mark.line + 1, mark.column + 1, f"not YAML: {what}{_hint(error, text)}")
        return None, [*composer.problems, problem]
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        column = error.position - (before.rfind("\n") + 1) + 1
        what = f"the character U+{ord(text[error.position]):04X} must not stand in YAML as it is"
        return None, [*composer.problems, Problem(name, before.count("\n") + 1, column, what)]


class _Composer:
    """Nodes from events.

    libyaml's parser takes a sixth of the time of the other: a reload must not keep traffic waiting.
    """

    def __init__(self, name: str, text: str, loader: Any) -> None:
        self.problems: list[Problem] = []
        self._name = name
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)
        self._anchors: dict[str, tuple[Node, int] | None] = {}
        """By name, with how many nodes it stands for; None while it is being read."""
        self._count = 0

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise _Stop(self._place(event), "a second document (---): a rule file holds one")
                root = self._node(next(self._events), 0)
        return None if isinstance(root, Scalar) and root.empty else root

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(self._name, mark.line + 1, mark.column + 1) if mark else Place(self._name, 0, 0)

    def _node(self, event: yaml.Event, depth: int) -> Node:
        place = self._place(event)
        if depth > MAX_DEPTH:
            raise _Stop(place, f"nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor or "", place)
        self._add(1, place)
        if tag := getattr(event, "tag", None):
            self._say(place, f"tags ({_tag(tag)}) are not used here: leave it out")
        anchor, before = getattr(event, "anchor", None), self._count
        if anchor is not None:
            self._anchors[anchor] = None
        node = self._content(event, place, depth)
        if anchor is not None:
            self._anchors[anchor] = (node, self._count - before + 1)
        return node

    def _content(self, event: yaml.Event, place: Place, depth: int) -> Node:
        match event:
            case yaml.ScalarEvent():
                return Scalar(place, event.value, event.style or "")
            case yaml.SequenceStartEvent():
                items = []
                while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                    items.append(self._node(event, depth + 1))
                return Items(place, tuple(items))
            case _:
                return Pairs(place, tuple(self._pairs(depth)))

    def _pairs(self, depth: int) -> Iterator[tuple[Scalar, Node]]:
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if not isinstance(key, Scalar):
                hint = "; a text with {{…}} must stand in quotes" if isinstance(key, Pairs) else ""
                self._say(key.place, f"a name is wanted here{hint}")
            elif key.plain and key.text == "<<":
                self._say(key.place, "merge keys (<<) are not supported: repeat the lines, or use an alias")
            elif isinstance(value, Scalar) and value.empty:
                yield key, Scalar(key.place, "")  # where nothing stands, parsers put it here and there
            else:
                yield key, value

    def _alias(self, name: str, place: Place) -> Node:
        if name not in self._anchors:
            hint = f'a text that begins with * must stand in quotes: "*{name}"'
            raise _Stop(place, f"there is no anchor &{name}{did_you_mean(name, self._anchors)}; {hint}")
        found = self._anchors[name]
        if found is None:
            raise _Stop(place, f"*{name} stands inside of what it repeats")
        self._add(found[1], place)
        return found[0]

    def _add(self, count: int, place: Place) -> None:
        self._count += count
        if self._count > MAX_NODES:
            raise _Stop(place, f"more than {MAX_NODES:,} values, what aliases repeat counted too")

    def _say(self, place: Place, text: str) -> None:
        self.problems.append(Problem(place.file, place.line, place.column, text))


def _tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _mark(error: yaml.MarkedYAMLError) -> yaml.Mark | None:
    """Where it went wrong; of what is never closed, where that was opened."""
    unclosed = "end of stream" in (error.problem or "") or "<stream end>" in (error.problem or "")
    marks = (error.problem_mark, error.context_mark)
    return marks[unclosed] or marks[not unclosed]


def _hint(error: yaml.MarkedYAMLError, text: str) -> str:
    """What the user may have meant, where the mistake is a usual one of rule files."""
    mark = error.problem_mark or error.context_mark
    what = f"{error.context or ''} {error.problem or ''}"
    lines = text.splitlines()
    line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
    if "found character '\\t'" in what:
        return "; indent with spaces, not with tabs"
    if "block scalar" in what or "'>'" in what or "'|'" in what:
        return '; a value that begins with > or | must stand in quotes: ">1000"'
    if "scanning an alias" in what:
        return '; a text that begins with * must stand in quotes: "*/ws"'
    if "scanning an anchor" in what:
        return "; a text that begins with & must stand in quotes"
    if "cannot start any token" in what:
        return "; a text that begins with %, @ or ` must stand in quotes"
    if "mapping values are not allowed" in what:
        return "; a text with a colon and a blank in it must stand in quotes, a mapping on lines of its own"
    if "flow mapping" in what and "got ':'" in what:
        return "; what belongs to a name stands in braces of its own: {text: {contains: x}}"
    if "flow mapping" in what and "[" in line and "$" in line:
        return '; a path with [ ] must stand in quotes between braces: {"$.list[0]": 1}'
    if "{{" in line:
        return "; a text with {{…}} must stand in quotes"
    return ""
