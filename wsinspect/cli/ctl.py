"""Ask a running proxy for its status, stop it, see to its rules and to what they hold, send or close.

  wsinspect ctl status [ADDRESS] [--format json]
  wsinspect ctl stop [ADDRESS]
  wsinspect ctl send CONN TEXT [--to client] [--opcode ping] [--base64]
  wsinspect ctl close CONN [--code 1001] [--reason TEXT] [--side server]
  wsinspect ctl rules [list | on ID | off ID]
  wsinspect ctl reload
  wsinspect ctl hold list | watch | release CONN.HOLD | edit CONN.HOLD TEXT | drop CONN.HOLD
                     | wait CONN.HOLD

CONN is the connection's number in the log. What is sent looks as if the other side had sent it, goes out at
the next message boundary, and is marked `injected` in the capture. Messages are held while a screen is
attached or `hold watch` runs; with nobody there, a rule's hold takes its default at once.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import sys
from typing import TYPE_CHECKING

from wsinspect.cli.ctl_rules import (
    brief_lines,
    hold_arguments,
    proxy_option,
    rules_arguments,
    run_hold,
    run_reload,
    run_rules,
)
from wsinspect.cli.narration import data_out, say
from wsinspect.cli.options import ADDRESS_HELP
from wsinspect.cli.parser import Parser, number, one_of, seconds
from wsinspect.decode.printable import clean
from wsinspect.errors import UsageError
from wsinspect.model import Opcode, Side

if TYPE_CHECKING:
    from wsinspect.control.client import ControlClient
    from wsinspect.control.protocol import ProxyInfo, ProxyStatus

OPCODES = {"text": Opcode.TEXT, "binary": Opcode.BINARY, "ping": Opcode.PING, "pong": Opcode.PONG}
SIDES = {"client": (Side.CLIENT,), "server": (Side.SERVER,), "both": (Side.CLIENT, Side.SERVER)}


def arguments(parser: Parser) -> None:
    parser.add_argument("--proxy", metavar="ADDRESS", help=ADDRESS_HELP)
    commands = parser.add_subparsers(dest="do", metavar="COMMAND", required=True, parser_class=Parser)
    status = commands.add_parser("status", help="where it listens, its capture, its connections")
    status.add_argument(
        "--format", type=one_of("text", "json"), default="text", help="text (the default) or json"
    )
    stop = commands.add_parser("stop", help="end all connections and the proxy")
    for each in (status, stop):
        address = each.add_mutually_exclusive_group()
        address.add_argument(
            "proxy", nargs="?", metavar="ADDRESS", default=argparse.SUPPRESS, help=ADDRESS_HELP
        )
        proxy_option(address)
    stop.add_argument("--timeout", type=seconds, default=10.0, metavar="SECONDS", help="10 unless given")
    send = commands.add_parser("send", help="send a message or a control frame")
    close = commands.add_parser("close", help="send a Close frame")
    rules_arguments(
        commands.add_parser("rules", help="the rules, with their hits; switch them on and off"),
        commands.add_parser("reload", help="read the rule files anew"),
    )
    hold_arguments(commands.add_parser("hold", help="the messages that rules hold back"))
    for each in (send, close):
        each.add_argument("conn", type=number(1, 2**32 - 1), metavar="CONN", help="the connection's number")
        proxy_option(each)
    send.add_argument("text", metavar="TEXT", help="the payload; - reads it from stdin")
    send.add_argument("--to", type=one_of("client", "server"), default="server", help="who gets it (server)")
    send.add_argument(
        "--opcode", type=one_of(*OPCODES), default="text", help="text, binary, ping or pong (text)"
    )
    send.add_argument("--base64", action="store_true", help="TEXT is base64")
    close.add_argument("--code", type=number(0, 65535), default=1000, help="the close code (1000)")
    close.add_argument("--reason", default="", metavar="TEXT", help="at most 123 bytes")
    close.add_argument(
        "--side", type=one_of(*SIDES), default="both", help="who gets it: client, server or both"
    )


def run(args: argparse.Namespace) -> int:
    from wsinspect.control.client import ControlClient

    payload = _payload(args) if "text" in args else b""
    with ControlClient(args.proxy) as client:
        match args.do:
            case "status":
                _status(client, args.format)
            case "stop":
                client.stop(wait_s=args.timeout)
            case "send":
                say(client.send(args.conn, SIDES[args.to][0], payload, OPCODES[args.opcode]))
            case "close":
                say(client.close_connection(args.conn, args.code, args.reason, SIDES[args.side]))
            case "rules":
                run_rules(args, client)
            case "reload":
                run_reload(args, client)
            case "hold":
                run_hold(args, client, payload)
    return 0


def _payload(args: argparse.Namespace) -> bytes:
    """Raises UsageError where it is not base64 and should be."""
    payload = sys.stdin.buffer.read() if args.text == "-" else args.text.encode(errors="surrogateescape")
    if not args.base64:
        return bytes(payload)
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error as error:
        raise UsageError(f"TEXT is not base64: {error}") from None


def _status(client: ControlClient, style: str) -> None:
    data_out()
    status = client.status()
    if style == "json":
        print(json.dumps(status.values(), ensure_ascii=False))
    else:
        print("\n".join(_lines(status)))


def _lines(status: ProxyStatus) -> list[str]:
    info = status.info
    lines = [f"proxy        {info.pid} (wsinspect {info.wsinspect}), up {status.uptime_s:.0f} s"]
    lines += [f"listening    {each.host}:{each.port} ({each.mode})" for each in info.listeners]
    lines += [f"capture      {info.capture or 'none'}{_until(info)}"]
    lines += [f"connections  {status.live} live, {status.total} in all"]
    lines += [f"behind       {status.queue_bytes:,} bytes wait for the disk"] if status.queue_bytes else []
    lines += [f"missing      {status.gaps:,} reads that the capture lacks"] if status.gaps else []
    lines += [clean(line) for line in brief_lines(status.rules)]
    if status.held:
        lines += [f"held         {status.held:,} (wsinspect ctl hold list)"]
    return lines + [f"trouble      {sentence}" for sentence in status.trouble]


def _until(info: ProxyInfo) -> str:
    """How long the capture's present place lasts, where it is not for good."""
    if info.saved is None:
        return " (in memory, until the proxy ends)" if info.memory else ""
    return "" if info.saved == info.capture else f" (in memory, until {info.saved} can be written)"
