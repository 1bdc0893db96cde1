"""The captures that you did not name: list them, or delete them.

  wsinspect captures list [--format json]
  wsinspect captures purge --all
  wsinspect captures purge --older-than 7d
  wsinspect captures purge NAME...

They lie in the state folder; the last ten are kept. One that a proxy is writing is never deleted.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from wsinspect.cli.narration import data_out, say
from wsinspect.cli.parser import Parser, one_of
from wsinspect.errors import NotFound, Unavailable, UsageError, did_you_mean

_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_CHEAP_BYTES = 4 << 20
"""A capture of one file is read through for its connections if it is no larger."""


def arguments(parser: Parser) -> None:
    commands = parser.add_subparsers(dest="do", metavar="COMMAND", required=True, parser_class=Parser)
    listing = commands.add_parser("list", help="name, size, time, connections, and whether a proxy writes it")
    listing.add_argument(
        "--format", type=one_of("text", "json"), default="text", help="text (the default) or json"
    )
    purge = commands.add_parser("purge", help="delete them: all, the old ones, or some by name; asks nothing")
    purge.add_argument("names", nargs="*", metavar="NAME", help="as `captures list` shows it")
    purge.add_argument("--all", action="store_true", help="all that no proxy writes")
    purge.add_argument(
        "--older-than", type=_age, metavar="AGE", help="those not written for so long: 90m, 12h, 7d, 2w"
    )


def run(args: argparse.Namespace) -> int:
    data_out()
    return _list(args.format) if args.do == "list" else _purge(args)


@dataclass(slots=True)
class _Capture:
    """One line of the list."""

    name: str
    path: str
    size: int
    """Bytes."""
    modified: str
    """When it was last written, in local time."""
    connections: int | None
    """None where counting them would take long."""
    writing: bool


def _list(style: str) -> int:
    from wsinspect.capture.files import default_folder, unnamed_captures

    found = [_look(path) for path in unnamed_captures()]
    if style == "json":
        for each in found:
            print(json.dumps(asdict(each)))
        return 0
    if not found:
        say(f"there are no captures in {default_folder()}")
        return 0
    from wsinspect.formats.lines import human_size

    width = max(len(each.name) for each in found)
    for each in found:
        plural = "" if each.connections == 1 else "s"
        count = "" if each.connections is None else f"{each.connections:,} connection{plural}"
        state = "  a proxy writes it" if each.writing else ""
        line = f"{each.name:<{width}}  {human_size(each.size):>9}  {each.modified}  {count:<18}{state}"
        print(line.rstrip())
    say(f"in {default_folder()}")
    return 0


def _look(path: Path) -> _Capture:
    from wsinspect.capture import locks

    size, changed = _size_and_time(path)
    when = datetime.datetime.fromtimestamp(changed).isoformat(" ", "seconds")
    return _Capture(path.name, str(path), size, when, _connections(path, size), locks.is_being_written(path))


def _size_and_time(path: Path) -> tuple[int, float]:
    """Bytes, and when it was last written (seconds since the epoch)."""
    from wsinspect.capture.segments import listed

    try:
        if not path.is_dir():
            found = path.stat()
            return found.st_size, found.st_mtime
        files = [file.stat() for _, file in listed(path)]
        changed = max((each.st_mtime for each in files), default=path.stat().st_mtime)
    except OSError:
        return 0, 0.0  # it has just gone
    return sum(each.st_size for each in files), changed


def _connections(path: Path, size: int) -> int | None:
    """How many connections it has had, where that is quickly known."""
    from wsinspect.capture.reader import Reader
    from wsinspect.capture.segments import listed
    from wsinspect.errors import WsinspectError

    try:
        last = path
        if path.is_dir():
            last = listed(path)[-1][1]
            size = last.stat().st_size
        if size > _CHEAP_BYTES:
            return None
        with Reader(last) as reader:
            while reader.read():
                pass
            before = reader.opening.before.highest if reader.opening else 0
            return max(reader.highest_conn, before)
    except (WsinspectError, OSError, IndexError):
        return None


def _purge(args: argparse.Namespace) -> int:
    """Raises UsageError, NotFound; Unavailable where one was named that a proxy writes, or one cannot go."""
    from wsinspect.capture.files import delete_unless_locked, unnamed_captures

    if bool(args.names) + args.all + (args.older_than is not None) != 1:
        raise UsageError(
            "say what to delete, in one way: --all, --older-than AGE, or names (wsinspect captures list)"
        )
    captures = unnamed_captures()
    wanted = _named(args.names, captures) if args.names else captures
    if args.older_than is not None:
        before = time.time() - args.older_than
        wanted = [path for path in captures if _size_and_time(path)[1] < before]
    freed, deleted = 0, 0
    written: list[str] = []
    stuck: dict[str, str] = {}
    for path in wanted:
        size, _ = _size_and_time(path)
        try:
            if delete_unless_locked(path):
                freed, deleted = freed + size, deleted + 1
            else:
                written.append(path.name)
        except FileNotFoundError:
            pass  # it went by itself
        except OSError as error:
            stuck[path.name] = error.strerror or str(error)
    _say_what_went(deleted, freed, written, stuck)
    if stuck or (written and args.names):
        raise Unavailable(f"not deleted: {', '.join([*stuck, *written])}")
    return 0


def _say_what_went(deleted: int, freed: int, written: list[str], stuck: dict[str, str]) -> None:
    from wsinspect.formats.lines import human_size

    plural = "" if deleted == 1 else "s"
    say(f"deleted {deleted} capture{plural}, {human_size(freed)}" if deleted else "nothing was deleted")
    for name in written:
        say(f"{name} stays: a proxy writes it")
    for name, why in stuck.items():
        say(f"{name} stays: it cannot be deleted ({why})")


def _named(names: list[str], captures: list[Path]) -> list[Path]:
    """All of them or none: a slip of the hand must not delete half of what was meant."""
    by_name = {path.name: path for path in captures}
    by_name |= {path.name.removesuffix(".wscap"): path for path in captures}
    found = []
    for name in names:
        if name not in by_name:
            raise NotFound(f"there is no unnamed capture {name!r}{did_you_mean(name, by_name)}")
        found.append(by_name[name])
    return list(dict.fromkeys(found))


def _age(word: str) -> float:
    """Seconds."""
    match = _AGE.fullmatch(word)
    if match is None:
        raise argparse.ArgumentTypeError(f"{word!r} is not an age such as 90m, 12h, 7d or 2w")
    return float(match[1]) * _SECONDS[match[2]]
