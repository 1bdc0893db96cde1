"""What may stand in a rule file: the types of fields, once, for loading, the JSON Schema and the docs.

Each condition and each action names its fields with these; `values.py` reads YAML by them and says what is
wrong with its place in the file, `schema.py` makes the JSON Schema of them. A value arrives in the action
already converted: units applied, words checked, regexes compiled.
"""

from __future__ import annotations

import builtins
import enum
import keyword
from dataclasses import dataclass, field
from typing import Any

from wsinspect.rules.text_forms import Form


class Type(enum.Enum):
    """What a value may be, and what it becomes."""

    TEXT = "text"
    """str"""
    TEMPLATE = "template"
    """text with `{{name}}`: vars, captured values, builtins; becomes `template.Template`"""
    TEMPLATES = "template, or a list of templates"
    """becomes tuple[template.Template, ...]"""
    BOOL = "true or false"
    INT = "whole number"
    NUMBER = "number"
    """float"""
    CHANCE = "0 to 1, or a percentage"
    """float"""
    DURATION = "duration"
    """`200ms`, `1.5s`, `2m`, or a number of milliseconds; becomes float milliseconds"""
    DURATION_RANGE = "duration, or a range of two"
    """`200ms` or `100ms..300ms`; becomes (low_ms, high_ms)"""
    SIZE = "size"
    """`64`, `4KiB`, `1MB`; becomes int bytes"""
    RATE = "rate"
    """`64KB/s`, or a number of kilobytes (1,000 bytes) a second as toxiproxy has it; becomes float bytes/s"""
    REGEX = "regular expression"
    """RE2 syntax; becomes a compiled re2 pattern over bytes in UTF-8"""
    REGEXES = "regular expression, or a list of them"
    """becomes a tuple of compiled patterns, as REGEX"""
    BYTES = "bytes in hex"
    """`de ad be ef`; becomes bytes"""
    BASE64 = "bytes in base64"
    """becomes bytes"""
    JSON = "any value"
    """any value of YAML, strings in it being templates; becomes `template.Value`"""
    PATH = "JSON path"
    """`$.a.b[0]`; becomes `jsonpath.Path`"""
    PATHS = "JSON path, or a list of them"
    """becomes tuple[jsonpath.Path, ...]"""
    PATH_VALUES = "mapping of JSON paths to values"
    """`{$.a: 1, $.b: "{{x}}"}`; becomes dict[jsonpath.Path, template.Value], in the order of the file"""
    SIDE = "client or server"
    """becomes Side"""
    SIDES = "client, server or both"
    """becomes tuple[Side, ...]"""
    WORD = "one of some words"
    """`Field.words`; becomes str"""
    FILE = "file under the rule's folder"
    """becomes Path, checked not to leave the folder"""
    HEADER_NAME = "header name"
    """str; a token of RFC 9110 5.6.2"""
    HEADER_NAMES = "header name, or a list of them"
    """becomes tuple[str, ...]"""
    HEADERS = "mapping of header names to templates"
    """becomes dict[str, template.Template], in the order of the file"""
    URL = "URL"
    CLOSE_CODE = "close code, 0 to 65535"
    STATUS = "HTTP status, 200 to 599"
    PYTHON = "module:function"
    """becomes the function: `scripting.load(text, folder)`, folder being the rule file's"""
    SIZES = "size, or a list of sizes"
    """becomes tuple[int, ...]"""
    TEXTS = "text, or a list of texts"
    """becomes tuple[str, ...]"""
    CONDITION = "condition"
    """as `when`; becomes a compiled condition"""

    # What conditions and rules are made of, beside the above.
    CONDITIONS = "list of conditions"
    """becomes tuple[Condition, ...]"""
    AFTER = "condition, with `within`"
    """becomes `conditions.Earlier`"""
    TEXT_TEST = "test of a text"
    """a glob, a list, or operators; becomes a `predicates.Predicate`, as all tests do"""
    FOLDED_TEST = "test of a text, whatever its case"
    NUMBER_TEST = "test of a number"
    SIZE_TEST = "test of a size"
    DURATION_TEST = "test of a duration"
    DELAY_TEST = "duration, or a test of one"
    """a bare duration is met exactly"""
    BYTES_TEST = "bytes in hex, with ?? for any"
    """becomes `conditions.BytesTest`"""
    NAMED_TESTS = "mapping of names to tests of texts"
    """becomes dict[str, Predicate]"""
    HEADER_TESTS = "mapping of header names to tests of texts"
    """becomes dict[str, Predicate], the names in small letters"""
    QUERY_TEST = "mapping of parameters to tests of texts, or a test of the query"
    JSON_TESTS = "mapping of JSON paths to tests"
    """becomes dict[Path, Predicate]"""
    CAPTURED_TESTS = "mapping of captured names to tests"
    """becomes dict[str, Predicate]"""
    COUNTERS = "mapping of rules to tests of a number"
    """becomes dict[str, Predicate]"""
    KINDS = "kind, or a list of kinds"
    """becomes tuple[str, ...]"""
    ADDRESSES = "address or network, or a list of them"
    """becomes a tuple of networks"""
    CAPTURES = "mapping of names to places"
    """`{id: $.id}`; becomes dict[str, captures.Source]"""
    VARS = "mapping of names to values"
    """becomes dict[str, Any], as JSON"""
    ACTIONS = "list of actions"
    """becomes tuple[Action, ...]"""
    RULES = "list of rules"
    TESTS = "list of tests"

    # What inner tests are made of.
    VALUE = "any value of YAML"
    """as JSON has it; no templates"""
    RULE_IDS = "rule of this file, or a list of them"
    """becomes tuple[str, ...]"""
    TEXT_VALUES = "mapping of names to texts"
    """becomes dict[str, str]"""
    MESSAGES = "list of messages"
    EXPECT = "what comes of a message"
    EXPECT_HANDSHAKE = "what comes of the handshake"
    ANSWER = "the server's answer"
    SENT = "list of what is sent beside the message"
    CLOSE = "a close code, or code and reason"


REQUIRED = object()
"""The default of a field that must be given."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a condition or an action."""

    name: str
    """As in YAML, with hyphens."""
    type: Type
    doc: str
    """One sentence, for the docs and the editor."""
    default: Any = REQUIRED
    words: tuple[str, ...] = field(default=())
    low: float | None = None
    high: float | None = None
    form: Form | None = None
    """What the texts always look like that a test of texts is about."""

    @property
    def attribute(self) -> str:
        """The name in Python."""
        return self.name_in_python(self.name)

    @staticmethod
    def name_in_python(name: str) -> str:
        """`with_bytes`, and `from_` where Python has that name already."""
        name = name.replace("-", "_")
        return f"{name}_" if keyword.iskeyword(name) or hasattr(builtins, name) else name
