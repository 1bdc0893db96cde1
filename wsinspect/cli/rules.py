"""Rule files: check them, explain them, try them on a capture; without touching traffic.

  wsinspect rules check FILE...                        each mistake with its place, all at once
  wsinspect rules check --run-tests FILE...            and the tests that stand in the files
  wsinspect rules explain FILE...                      each rule in a sentence
  wsinspect rules test FILE... CAPTURE                 what they would do: hits, and before and after
  wsinspect rules test FILE... CAPTURE --expect fake-price=3 --expect 'drop>=1'
  wsinspect rules schema                               the JSON Schema, for completion in an editor

FILE is a rule file, or a folder: its *.yaml and *.yml, sorted. The exit code is 2 where a file has mistakes,
1 where a test or an expectation fails.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from wsinspect.cli.narration import data_out
from wsinspect.cli.parser import Parser, number, one_of


def arguments(parser: Parser) -> None:
    commands = parser.add_subparsers(dest="do", metavar="COMMAND", required=True, parser_class=Parser)
    check = commands.add_parser("check", help="say what is wrong with them")
    _files(check)
    check.add_argument("--run-tests", action="store_true", help="run the tests that stand in the files")
    explain = commands.add_parser("explain", help="say in a sentence what each rule does")
    _files(explain)
    test = commands.add_parser("test", help="try them on a capture")
    _files(test)
    test.add_argument("capture", type=Path, metavar="CAPTURE", help="a capture file or folder")
    test.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="WHAT",
        help="how often a rule must act: RULE=N, RULE>=N, or a YAML file {RULE: N, RULE: '>=N'}; may be "
        "given several times",
    )
    test.add_argument(
        "--diffs",
        type=number(0, 1_000_000),
        default=20,
        metavar="N",
        help="show at most N changed messages, 20 unless given",
    )
    commands.add_parser("schema", help="print the JSON Schema of rule files")


def _files(parser: Parser) -> None:
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="a rule file, or a folder of them"
    )
    parser.add_argument(
        "--allow-python", action="store_true", help="rules may name Python functions, which are imported"
    )
    parser.add_argument(
        "--format", type=one_of("text", "json"), default="text", help="text (the default) or json"
    )


def run(args: argparse.Namespace) -> int:
    data_out()
    match args.do:
        case "check":
            from wsinspect.cli.rules_check import check

            return check(args.files, args.allow_python, args.run_tests, args.format)
        case "explain":
            from wsinspect.cli.rules_check import explain

            return explain(args.files, args.allow_python, args.format)
        case "test":
            from wsinspect.cli.rules_test import test

            return test(args)
        case _:
            from wsinspect.rules.schema import schema_text

            print(schema_text(), end="")
            return 0
