"""The interface for functions of the user's own, and how they are found."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.rules.actions.make import action, did, plan_of
from tests.rules.talk import FakeTalk
from wsinspect.model import Opcode, Side
from wsinspect.model.plans import BOTH, Close, Fate, Plan, Reset, Send
from wsinspect.rules import scripting
from wsinspect.rules.scripting import Script, ScriptMessage


def run(function: Callable[[ScriptMessage], Any], payload: Any = "", talk: FakeTalk | None = None) -> Plan:
    act = action("python", call=Script("mod:f", function))
    return plan_of((talk or FakeTalk()).turn(payload, Side.SERVER), act)


@pytest.mark.parametrize(
    ("payload", "returned", "result"),
    [
        ("a", "ü", "ü".encode()),
        ("a", b"\xff", b"\xff"),
        ("a", bytearray(b"x"), b"x"),
        ({"a": 1}, {"a": 2}, b'{"a": 2}'),
        ({"a": 1}, [1], b"[1]"),
        ("no json", {"a": 2}, b'{"a":2}'),
        ("a", None, None),
        ("a", "a", None),
    ],
)
def test_what_it_returns_becomes_of_the_message(payload: Any, returned: Any, result: bytes | None) -> None:
    plan = run(lambda message: returned, payload)
    assert plan.payload == result
    assert plan.fate is Fate.FORWARD


def test_the_view() -> None:
    seen: list[Any] = []

    def look(message: ScriptMessage) -> None:
        connection = message.connection
        seen.extend([message.side, message.kind, message.data, message.text, message.tree, message.number])
        seen.extend([connection.number, connection.host, connection.path, connection.client, connection.url])
        seen.append(message.decoded and message.decoded.codec)
        with pytest.raises(TypeError):
            connection.values["id"] = 2  # type: ignore[index]
        seen.append(connection.values["id"])
        with pytest.raises(AttributeError):
            message.data = b""  # type: ignore[misc]

    run(look, {"a": 1}, FakeTalk({"id": 5}))
    assert seen == [
        *("server", "text", b'{"a": 1}', '{"a": 1}', {"a": 1}, 3),
        *(7, "shop.test", "/ws", "10.0.0.9", "wss://shop.test/ws?token=s3cret"),
        *("json", 5),
    ]


def test_the_view_of_what_is_neither_text_nor_known() -> None:
    act = action(
        "python", call=Script("m:f", lambda message: f"{message.kind} {message.text} {message.tree}")
    )
    assert plan_of(FakeTalk().turn(b"\xff"), act).payload == b"binary None None"
    assert plan_of(FakeTalk().control(Opcode.PING, b"p"), act).payload == b"ping p None"


def test_a_tree_changed_in_place_changes_nothing_by_itself() -> None:
    def careless(message: ScriptMessage) -> None:
        message.tree["a"] = "changed"

    talk = FakeTalk()
    turn = talk.turn({"a": 1})
    plan = plan_of(turn, action("python", call=Script("m:f", careless)))
    assert plan.payload is None
    assert turn.decoded is not None
    assert turn.decoded.tree == {"a": 1}


def test_methods() -> None:
    def act(message: ScriptMessage) -> None:
        message.delay(5)
        message.reply("no", after_ms=3)
        message.send({"x": 1}, to="server")
        message.send(b"\x01", to=Side.CLIENT)
        message.close(1012, "bye", to="client")
        message.reset()
        message.tag("a", "a", "b")
        message.note("why")

    plan = run(act, "question")
    assert plan.fate is Fate.DROP
    assert plan.delay_ms == 5
    assert plan.effects == (
        Send("r", Side.SERVER, Opcode.TEXT, b"no", after_ms=3),
        Send("r", Side.SERVER, Opcode.TEXT, b'{"x":1}'),
        Send("r", Side.CLIENT, Opcode.BINARY, b"\x01"),
        Close("r", 1012, "bye", (Side.CLIENT,)),
        Reset("r", BOTH),
    )
    assert plan.tags == ("a", "b")
    assert plan.notes == ("why",)
    assert did(plan) == (
        "mod:f: delay, reply, send to the server, send to the client, close with 1012, reset"
    )


def test_drop_and_nothing() -> None:
    assert run(lambda message: message.drop()).fate is Fate.DROP
    assert did(run(lambda message: None)) == ""
    assert did(run(lambda message: "other")) == "mod:f: another payload"


def test_state_is_kept_for_each_connection() -> None:
    def count(message: ScriptMessage) -> str:
        message.state["n"] = message.state.get("n", 0) + 1
        return f"{message.state['n']}"

    act, talk = action("python", call=Script("m:f", count)), FakeTalk()
    assert [plan_of(talk.turn("x"), act).payload for _ in range(3)] == [b"1", b"2", b"3"]
    assert plan_of(FakeTalk().turn("x"), act).payload == b"1"


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda message: {}["price"], r"mod:f raised KeyError: 'price' \(test_scripting\.py:\d+\)"),
        (lambda message: sys.exit(3), r"mod:f raised SystemExit: 3"),
        (lambda message: 5, "mod:f returned int: None, str, bytes, dict or list are known"),
        (lambda message: message.send("x", to="nobody"), "'nobody' is no side"),
        (lambda message: message.send(5, to="client"), "int cannot be sent"),
        (lambda message: message.delay(-1), "is no delay"),
        (lambda message: message.close(70_000), "takes a code of 0 to 65535"),
        (lambda message: {"a": {1, 2}}, "."),
    ],
)
def test_what_goes_wrong_is_a_value_error_with_its_place(function: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        run(function, "{}")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_what_ends_a_program_elsewhere_is_an_error_like_any_other(kind: type[BaseException]) -> None:
    """Where the proxy's own handler of SIGINT stands, no KeyboardInterrupt is the user's Ctrl-C."""

    def ends(message: ScriptMessage) -> None:
        raise kind

    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with pytest.raises(ValueError, match=rf"mod:f raised {kind.__name__}: .*test_scripting\.py"):
            run(ends)
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_what_has_no_handler_of_its_own() -> None:
    """`rules check --run-tests`: there it is the user who interrupts, and not the function."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        run(lambda message: signal.raise_signal(signal.SIGINT))


# ----------------------------------------------------------------------------------------------- loading


def write(folder: Path, name: str, text: str) -> None:
    folder.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
    folder.joinpath(name).write_text(text)


def test_a_module_beside_the_rule_file_is_read_anew_each_time(tmp_path: Path) -> None:
    write(tmp_path, "prices.py", "def f(message): return 'one'")
    first = scripting.load("prices:f", tmp_path)
    assert first.name == "prices:f"
    assert run(first.function).payload == b"one"
    write(tmp_path, "prices.py", "def f(message): return 'two, a longer text'")
    assert run(scripting.load("prices:f", tmp_path).function).payload == b"two, a longer text"
    assert run(first.function).payload == b"one"
    assert "prices" not in sys.modules


def test_a_module_of_the_folder_hides_none_of_ours(tmp_path: Path) -> None:
    write(tmp_path, "json.py", "def f(message): return 'mine'")
    assert run(scripting.load("json:f", tmp_path).function).payload == b"mine"
    assert hasattr(sys.modules["json"], "dumps")


def test_packages_and_dotted_names(tmp_path: Path) -> None:
    write(tmp_path, "pack/__init__.py", "from .inner import f")
    write(tmp_path, "pack/inner.py", "def f(message): return 'inner'")
    for name in ("pack:f", "pack.inner:f"):
        assert run(scripting.load(name, tmp_path).function).payload == b"inner"


def test_dataclasses_in_a_module(tmp_path: Path) -> None:
    """dataclasses look their module up in sys.modules."""
    imports = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    text = f"{imports}@dataclass\nclass A:\n    x: int = 1\n"
    write(tmp_path, "data.py", text + "def f(message): return str(A().x)")
    assert run(scripting.load("data:f", tmp_path).function).payload == b"1"


def test_an_installed_module(tmp_path: Path) -> None:
    assert scripting.load("tests.rules.installed:shout", tmp_path).name == "tests.rules.installed:shout"


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("prices", "", "'prices' is not module:function, such as prices:double"),
        ("a b:c", "", "is not module:function"),
        ("/etc/passwd:c", "", "is not module:function"),
        ("../x:c", "", "is not module:function"),
        ("prcies:f", "", "no prcies.py beside the rule file.*; did you mean prices?"),
        ("prices:doubel", "def double(m): pass", "prices has no doubel; did you mean double?"),
        ("prices:f", "f = 5", "prices:f is int, not a function"),
        ("prices:f", "async def f(m): pass", "prices:f is async"),
        ("prices:f", "def f(): pass", "must take one argument"),
        ("prices:f", "def f(a, b): pass", "must take one argument"),
        ("prices:f", "def f(m:\n", r"prices\.py:1: '\(' was never closed"),
        (
            "prices:f",
            "x = 1\nimport nowhere_at_all",
            r"prices\.py cannot be imported: ModuleNotFoundError: .*prices\.py:2",
        ),
        ("prices:f", "import sys\nsys.exit(1)", "cannot be imported: SystemExit"),
        ("prices:f", "raise GeneratorExit", "cannot be imported: GeneratorExit"),
    ],
)
def test_what_cannot_be_loaded_says_why(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    write(tmp_path, "prices.py", text)
    with pytest.raises(ValueError, match=sentence):
        scripting.load(name, tmp_path)
