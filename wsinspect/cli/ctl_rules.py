"""`ctl rules`, `ctl reload` and `ctl hold`: what rules a proxy has, and what they hold back."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from wsinspect.cli.narration import data_out, say
from wsinspect.cli.options import ADDRESS_HELP
from wsinspect.cli.parser import Parser, one_of
from wsinspect.decode.printable import clean
from wsinspect.errors import UsageError

if TYPE_CHECKING:
    from wsinspect.control.client import ControlClient
    from wsinspect.control.protocol import HeldMessage, RulesBrief, RulesStatus, RuleStatus

TEXT_SHOWN = 60
"""Characters of a held message's payload in a list."""


def rules_arguments(rules: Parser, reload: Parser) -> None:
    rules.add_argument(
        "action",
        nargs="?",
        type=one_of("list", "on", "off"),
        default="list",
        metavar="ACTION",
        help="list (unless given): each rule, its hits, and what it does; on or off: switch rules",
    )
    rules.add_argument("ids", nargs="*", metavar="ID", help="of the rules to switch on or off")
    for each in (rules, reload):
        proxy_option(each)
        _format_option(each)


def hold_arguments(hold: Parser) -> None:
    proxy_option(hold)
    actions = hold.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    listing = actions.add_parser("list", help="the messages that are held now")
    release = actions.add_parser("release", help="let messages go on as they came")
    edit = actions.add_parser("edit", help="let a message go on with another payload")
    drop = actions.add_parser("drop", help="let messages go nowhere")
    wait = actions.add_parser("wait", help="let messages wait longer: their time limit begins anew")
    watch = actions.add_parser(
        "watch", help="print what is held and released, a line of JSON each; meanwhile somebody is there"
    )
    for each in (release, drop, wait):
        each.add_argument("holds", nargs="+", metavar="CONN.HOLD", type=hold_name, help="as `list` names it")
    edit.add_argument("hold", metavar="CONN.HOLD", type=hold_name, help="as `list` names it")
    edit.add_argument("text", metavar="TEXT", help="the new payload; - reads it from stdin")
    edit.add_argument("--base64", action="store_true", help="TEXT is base64")
    for each in (listing, release, edit, drop, wait, watch):
        proxy_option(each)
    _format_option(listing)


def proxy_option(where: argparse._ActionsContainer) -> None:
    """`--proxy`, which may stand behind `ctl` and behind each of its words."""
    where.add_argument("--proxy", default=argparse.SUPPRESS, metavar="ADDRESS", help=ADDRESS_HELP)


def _format_option(parser: Parser) -> None:
    parser.add_argument(
        "--format", type=one_of("text", "json"), default="text", help="text (the default) or json"
    )


def hold_name(word: str) -> tuple[int, int]:
    """A type for `CONN.HOLD`, such as 3.1."""
    conn, dot, hold = word.partition(".")
    if not (dot and conn.isdecimal() and hold.isdecimal() and int(conn) and int(hold)):
        raise argparse.ArgumentTypeError(f"{word!r} is not of the form CONN.HOLD, such as 3.1")
    return int(conn), int(hold)


# ------------------------------------------------------------------------------------------------- rules


def run_rules(args: argparse.Namespace, client: ControlClient) -> None:
    """Raises UsageError, ControlError."""
    if (args.action == "list") is bool(args.ids):
        wants = "list takes no rule's ID" if args.ids else f"{args.action} wants a rule's ID"
        raise UsageError(f"ctl rules {wants}; see wsinspect ctl rules --help")
    if args.action == "list":
        _print_rules(client.rules(), args.format)
        return
    client.switch_rules(args.ids, args.action == "on")
    for rule in args.ids:
        say(f"rule {rule} is {args.action}")


def run_reload(args: argparse.Namespace, client: ControlClient) -> None:
    """Raises ControlError with every mistake in the files."""
    found = client.reload()
    if args.format == "json":
        _print_rules(found, "json")
    else:
        count = len(found.rules) + found.left_out
        say(f"{count} rule{'' if count == 1 else 's'} loaded of {', '.join(found.files)}")


def _print_rules(found: RulesStatus, style: str) -> None:
    data_out()
    if style == "json":
        print(json.dumps(found.values()))
        return
    width = max((len(each.id) for each in found.rules), default=0)
    for each in found.rules:
        print(clean(_rule_line(each, width)))
    for number in [found.left_out] if found.left_out else []:
        print(f"… and {number:,} more")
    if found.shadow:
        say("in shadow: what they would do is recorded, and no traffic is touched")
    if found.error:
        say(f"the files as they are now could not be loaded:\n{found.error}")


def _rule_line(rule: RuleStatus, width: int) -> str:
    state = "on " if rule.enabled else "off"
    failed = f"  (failed in {rule.failed:,} connections, and is off there)" if rule.failed else ""
    return f"{state}  {rule.id:<{width}}  {rule.hits:>8,} hits  {rule.explain}{failed}"


def brief_lines(brief: RulesBrief | None) -> list[str]:
    """For `ctl status`."""
    if brief is None:
        return []
    off = f", {brief.off} off" if brief.off else ""
    shadow = ", in shadow" if brief.shadow else ""
    lines = [f"rules        {brief.count}{off}, {brief.hits:,} hits{shadow}: {', '.join(brief.files)}"]
    return lines + [f"not loaded   {line}" for line in brief.error.splitlines()]


# ------------------------------------------------------------------------------------------------- holds


def run_hold(args: argparse.Namespace, client: ControlClient, payload: bytes) -> None:
    """Raises ControlError, `already-released` where somebody or the time limit was first."""
    match args.action:
        case "list":
            _print_holds(client, args.format)
        case "watch":
            _watch(client)
        case "edit":
            conn, hold = args.hold
            client.edit(conn, hold, payload)
            say(f"{conn}.{hold} went on with {len(payload):,} bytes of yours")
        case "release" | "drop" | "wait":
            resolve, done = {
                "release": (client.release, "went on"),
                "drop": (client.drop, "is dropped"),
                "wait": (client.wait_for_word, "has its time anew"),
            }[args.action]
            for conn, hold in args.holds:
                resolve(conn, hold)
                say(f"{conn}.{hold} {done}")


def _print_holds(client: ControlClient, style: str) -> None:
    data_out()
    found = client.holds()
    if style == "json":
        print(json.dumps(found.values()))
        return
    for each in found.holds:
        print(_hold_line(each))
    if found.left_out:
        print(f"… and {found.left_out:,} more")


def _hold_line(held: HeldMessage) -> str:
    from wsinspect.formats.lines import ARROWS, human_size
    from wsinspect.model import Opcode, opcode_word

    text = held.payload.decode(errors="replace") if held.opcode == Opcode.TEXT else held.payload.hex(" ")
    more = "…" if len(text) > TEXT_SHOWN or len(held.payload) < held.payload_bytes else ""
    limit_s = held.limit_ms / 1000
    limit_s = round(limit_s, 1) if limit_s > 10 else limit_s  # one that began anew is no round number
    time = f"{held.held_ms / 1000:.1f} of {limit_s:g} s, then {held.default}"
    what = f"{ARROWS[held.side]} {opcode_word(held.opcode):<6} {human_size(held.payload_bytes):>9}"
    return clean(f"{held.name:<8} {what}  {held.rule}  {time}  {text[:TEXT_SHOWN]}{more}")


def _watch(client: ControlClient) -> None:
    """Until the proxy stops, or Ctrl-C."""
    from wsinspect.control.protocol import HeldEvent, ReleasedEvent, event_values

    events = client.watch()
    try:
        for event in events:
            if isinstance(event, HeldEvent | ReleasedEvent):
                print(json.dumps(event_values(event)))
                sys.stdout.flush()
    finally:
        events.close()
