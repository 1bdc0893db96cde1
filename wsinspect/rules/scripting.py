"""Functions of the user's own, called by the action `python: module:function`.

    # prices.py, beside the rule file
    from wsinspect.rules.scripting import ScriptMessage

    def double(message: ScriptMessage) -> dict | None:
        if message.tree is None:
            return None                                    # as it came
        message.state["seen"] = message.state.get("seen", 0) + 1
        return {**message.tree, "price": message.tree["price"] * 2}

What the function returns becomes of the message:

    None         it passes as it came, or as the methods below have it
    str, bytes   its payload; text in UTF-8. The kind of message stays
    dict, list   its tree, encoded as it was (JSON where no decoder knew it)

An exception, of whatever kind, disables the rule for the connection, says so once, and the message goes on
unchanged. The function runs in the relay's thread: while it runs, no traffic moves.
"""

from __future__ import annotations

import copy
import importlib.util
import inspect
import random
import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from wsinspect.model import Decoded, Opcode, Side, opcode_word
from wsinspect.model.plans import BOTH, Close, Fate, Reset, Send
from wsinspect.rules.template import compact, nearest
from wsinspect.rules.turn import Turn

__all__ = ["Script", "ScriptConnection", "ScriptMessage", "load"]

type Returned = str | bytes | dict[str, Any] | list[Any] | None
type Side_ = Side | str

_NAME = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")


@dataclass(frozen=True, slots=True)
class ScriptConnection:
    """The connection that a message belongs to."""

    number: int
    url: str
    host: str
    path: str
    client: str
    """The client's IP address, "" where it is not known."""
    values: Mapping[str, Any]
    """`vars` of the rule files and captured values, by name; read-only."""


class ScriptMessage:
    """What the function gets: a read-only view of the message, and methods to act.

    Methods take effect when the function returns, in the order in which they were called.
    """

    def __init__(self, rule: str, turn: Turn, state: dict[str, Any]) -> None:
        self._rule = rule
        self._turn = turn
        self._did: list[str] = []
        self._tree: Any = None
        self.state = state
        """The function's own, for this connection and rule: it may keep here what it likes."""

    # ---------------------------------------------------------------------------------------------- view

    @property
    def side(self) -> str:
        """Who sent it: "client" or "server"."""
        return self._turn.side.word

    @property
    def kind(self) -> str:
        """ "text", "binary", "ping", "pong", "close", or "reserved-11" …"""
        return opcode_word(self._turn.opcode)

    @property
    def data(self) -> bytes:
        """The payload, inflated, as earlier actions left it."""
        return self._turn.payload

    @property
    def text(self) -> str | None:
        """The payload as text; None where it is not UTF-8."""
        try:
            return self._turn.payload.decode()
        except UnicodeDecodeError:
            return None

    @property
    def decoded(self) -> Decoded | None:
        """What a decoder makes of it: codec, tree, kind, id; None where none knows it."""
        return self._turn.decoded

    @property
    def tree(self) -> Any:
        """The decoded value, None where no decoder knows the message. A copy: return it to change it."""
        if self._tree is None and self._turn.decoded is not None:
            self._tree = copy.deepcopy(self._turn.decoded.tree)
        return self._tree

    @property
    def number(self) -> int:
        """Of the message in its direction, from 1."""
        return int(self._turn.talk.builtin("n"))

    @property
    def now_ns(self) -> int:
        """The monotonic clock."""
        return self._turn.now_ns

    @property
    def random(self) -> random.Random:
        """The connection's: what is drawn from it repeats with the file's seed."""
        return self._turn.rng

    @property
    def connection(self) -> ScriptConnection:
        def known(name: str) -> str:
            try:
                return str(self._turn.talk.builtin(name) or "")
            except KeyError:
                return ""

        values = MappingProxyType(self._turn.talk.values)
        number = int(self._turn.talk.builtin("conn"))
        return ScriptConnection(number, known("url"), known("host"), known("path"), known("client"), values)

    # ------------------------------------------------------------------------------------------- actions

    def drop(self) -> None:
        """It goes no further."""
        self._turn.fate = Fate.DROP
        self._did.append("drop")

    def delay(self, ms: float) -> None:
        """It goes out that many milliseconds later; what is behind it waits too."""
        if not 0 <= ms < float("inf"):
            raise ValueError(f"a delay of {ms} ms is no delay")
        self._turn.delay_ms += ms
        self._did.append("delay")

    def reply(self, content: str | bytes | dict[str, Any] | list[Any], *, after_ms: float = 0.0) -> None:
        """Answer its sender, and let it go no further. A dict or list goes out as JSON."""
        self._send(content, self._turn.side, after_ms)
        self._turn.fate = Fate.DROP
        self._did.append("reply")

    def send(
        self, content: str | bytes | dict[str, Any] | list[Any], *, to: Side_, after_ms: float = 0.0
    ) -> None:
        """Send a message to "client" or "server", beside this one."""
        side = _side(to)
        self._send(content, side, after_ms)
        self._did.append(f"send to the {side.word}")

    def close(self, code: int = 1000, reason: str = "", *, to: Side_ | None = None) -> None:
        """Send a Close frame to one side, or to both."""
        if not 0 <= code <= 65535 or len(reason.encode()) > 123:
            raise ValueError("a Close frame takes a code of 0 to 65535 and a reason of at most 123 bytes")
        sides = BOTH if to is None else (_side(to),)
        self._turn.effects += (Close(self._rule, code, reason, sides),)
        self._did.append(f"close with {code}")

    def reset(self, *, to: Side_ | None = None) -> None:
        """Reset the TCP connection of one side, or of both."""
        self._turn.effects += (Reset(self._rule, BOTH if to is None else (_side(to),)),)
        self._did.append("reset")

    def tag(self, *tags: str) -> None:
        """Put tags on it in the capture."""
        self._turn.tags = tuple(dict.fromkeys((*self._turn.tags, *tags)))

    def note(self, text: str) -> None:
        """Write a sentence beside it in the capture."""
        self._turn.notes += (text[:500],)

    def _send(self, content: object, to: Side, after_ms: float) -> None:
        opcode, payload = _payload(content)
        self._turn.effects += (Send(self._rule, to, int(opcode), payload, after_ms=after_ms),)


@dataclass(frozen=True, slots=True)
class Script:
    """A function that was loaded."""

    name: str
    function: Callable[[ScriptMessage], Returned]

    def run(self, message: ScriptMessage) -> list[str]:
        """Call it, and do what it returned. Returns what was done, in words. Raises ValueError."""
        try:
            returned: object = self.function(message)
        except BaseException as error:
            raise ValueError(f"{self.name} raised {_said(error)}") from error
        turn = message._turn
        match returned:
            case None:
                return message._did
            case str():
                turn.set_payload(returned.encode())
            case bytes() | bytearray() | memoryview():
                turn.set_payload(bytes(returned))
            case dict() | list():
                if (decoded := turn.decoded) is not None:
                    turn.set_payload(turn.talk.encode(decoded, returned))
                else:
                    turn.set_payload(compact(returned).encode())
            case _:
                kind = type(returned).__name__
                hint = "; it is async, and must not be" if inspect.iscoroutine(returned) else ""
                raise ValueError(
                    f"{self.name} returned {kind}: None, str, bytes, dict or list are known{hint}"
                )
        return [*message._did, "another payload"]


def _said(error: BaseException) -> str:
    """`KeyError: 'price' (prices.py:12)`, whatever it is, also what ends a program: `sys.exit`, say.

    Raises the error itself where it is the user's own Ctrl-C. That is one only where Python's default handler
    stands, in `rules check` or before the proxy runs. A running proxy has handlers of its own (`proxy.main`,
    or mitmproxy's), which raise nothing: there a KeyboardInterrupt comes from the function, and Ctrl-C still
    ends the proxy. Python runs handlers in the main thread alone, so in others it is the function's too.
    """
    raised_here = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    in_main_thread = threading.current_thread() is threading.main_thread()
    if isinstance(error, KeyboardInterrupt) and raised_here and in_main_thread:
        raise error
    return f"{type(error).__name__}: {error}{_where(error)}"


def _where(error: BaseException) -> str:
    """` (prices.py:12)`: the innermost line outside of this file."""
    at, place = error.__traceback__, ""
    while at is not None:
        code = at.tb_frame.f_code
        if code.co_filename != __file__:
            place = f" ({Path(code.co_filename).name}:{at.tb_lineno})"
        at = at.tb_next
    return place


def _side(side: Side_) -> Side:
    for each in Side:
        if side == each or side == each.word:
            return each
    raise ValueError(f'{side!r} is no side: "client" or "server"')


def _payload(content: object) -> tuple[Opcode, bytes]:
    match content:
        case str():
            return Opcode.TEXT, content.encode()
        case bytes() | bytearray() | memoryview():
            return Opcode.BINARY, bytes(content)
        case dict() | list():
            return Opcode.TEXT, compact(content).encode()
        case _:
            raise ValueError(f"{type(content).__name__} cannot be sent: str, bytes, dict or list can")


# ----------------------------------------------------------------------------------------------- loading


def load(name: str, folder: Path) -> Script:
    """The function that `module:function` says, of a module in the folder or an installed one.

    A module of the folder is read anew each time, under a name of its own, so that a reload of the rules
    reloads it, and no module of wsinspect's is ever hidden by it. Raises ValueError, with a sentence.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is not module:function, such as prices:double")
    module_name, function_name = found.groups()
    module = _module(module_name, folder)
    function = getattr(module, function_name, None)
    if function is None:
        names = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        raise ValueError(f"{module_name} has no {function_name}{nearest(function_name, names)}")
    if not callable(function):
        raise ValueError(f"{name} is {type(function).__name__}, not a function")
    if inspect.iscoroutinefunction(function):
        raise ValueError(f"{name} is async: it must be a plain function")
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        raise ValueError(f"{name} must take one argument, the message") from None
    except ValueError:
        pass  # a built-in without a signature
    return Script(name, function)


def _module(name: str, folder: Path) -> ModuleType:
    base = folder.joinpath(*name.split("."))
    for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
        if path.is_file():
            return _module_of(name, path)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            files = [each.stem for each in folder.glob("*.py")] if folder.is_dir() else []
            where = f"no {name}.py beside the rule file, and no installed module of that name"
            raise ValueError(f"{where}{nearest(name, files) if files else ''}") from None
        raise ValueError(f"{name} cannot be imported: {error}") from error
    except BaseException as error:
        raise ValueError(f"{name} cannot be imported: {_said(error)}") from error


def _module_of(name: str, path: Path) -> ModuleType:
    """The module of a file, run anew."""
    private = f"_wsinspect_script_{abs(hash(str(path.resolve()))):x}_{name.replace('.', '_')}"
    inside = [str(path.parent)] if path.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(private, path, submodule_search_locations=inside)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[private] = module  # dataclasses and pickle look there
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        sys.modules.pop(private, None)
        raise ValueError(f"{path.name}:{error.lineno}: {error.msg}") from error
    except BaseException as error:
        sys.modules.pop(private, None)
        raise ValueError(f"{path.name} cannot be imported: {_said(error)}") from error
    return module
