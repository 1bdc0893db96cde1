"""What holds for all actions alike: the loader, the JSON Schema and the docs rely on it."""

from pathlib import Path

import pytest
import yaml

import wsinspect.rules.actions
from wsinspect.rules.actions import ACTIONS, GROUPS, Action, On
from wsinspect.rules.fields import REQUIRED, Type

EVERY = pytest.mark.parametrize("cls", ACTIONS.values(), ids=ACTIONS.keys())
HELPERS = {"base", "words", "content", "shape", "seeded", "headers", "toxic", "tree", "__init__"}


def test_each_file_has_its_action_in_the_registry() -> None:
    folder = Path(wsinspect.rules.actions.__path__[0])
    files = {path.stem for path in folder.rglob("*.py")} - HELPERS
    assert {cls.__module__.rpartition(".")[2] for cls in ACTIONS.values()} == files
    assert len(ACTIONS) == sum(map(len, GROUPS.values()))


def test_the_words_are_those_of_the_docs() -> None:
    assert set(ACTIONS) == {
        *("set", "remove", "append", "replace", "payload", "python"),
        *("drop", "hold", "delay", "reorder", "duplicate", "throttle", "fragment", "merge", "corrupt"),
        *("send", "reply", "close", "reset", "cut", "stall", "tag", "note", "redact", "no-capture"),
        *("reject", "set-header", "remove-header", "strip-extension", "redirect-to", "slow"),
        *("latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data"),
    }


@EVERY
def test_docs_and_example(cls: type[Action]) -> None:
    assert cls.doc.endswith(".")
    assert cls.doc[0].isupper() or cls.doc.startswith("toxiproxy")
    example = yaml.safe_load(cls.example)
    assert example == cls.word or [*example] == [cls.word]
    for field in cls.fields:
        assert field.doc.endswith("."), field.name
        assert field.doc[0].isupper() or field.name == "stream", field.name


@EVERY
def test_fields_are_sound(cls: type[Action]) -> None:
    names = [field.name for field in cls.fields]
    assert len(set(names)) == len(names)
    assert not cls.short or cls.short in names
    assert not cls.whole or cls.short
    for field in cls.fields:
        assert (field.type is Type.WORD) is bool(field.words), field.name
        assert field.attribute.isidentifier()
        assert not hasattr(Action, field.attribute), f"{field.name} would hide what each action has"
        if field.type is Type.WORD and field.default not in (REQUIRED, None):
            assert field.default in field.words


@EVERY
def test_it_acts_where_it_says(cls: type[Action]) -> None:
    assert cls.on
    on_traffic, on_handshake = bool(cls.on & On.TRAFFIC), bool(cls.on & On.HANDSHAKE)
    assert on_handshake is ("apply_handshake" in vars(cls))
    assert on_traffic is any("apply" in vars(each) for each in cls.__mro__[:-2])


@EVERY
def test_what_is_random_takes_a_seed(cls: type[Action]) -> None:
    names = {field.name for field in cls.fields}
    random_ones = {field.name for field in cls.fields if field.type is Type.DURATION_RANGE} | names & {
        "jitter",
        "toxicity",
        "bits",
    }
    assert not random_ones or "seed" in names
