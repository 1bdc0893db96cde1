from __future__ import annotations

import math
import random
import struct
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.wild import edited
from tests.tools import need_module
from wsinspect.decode.edits import same
from wsinspect.decode.limits import MAX_DEPTH, MAX_MSGPACK_VALUES, NotDecoded
from wsinspect.decode.msgpack import Ext, RawKey, pack, unpack
from wsinspect.decode.msgpackedit import edit
from wsinspect.decode.msgpackpayload import decode_msgpack
from wsinspect.model import Decoded

theirs = need_module("msgpack")

EDGES = [sign << bits for bits in (0, 5, 7, 8, 15, 16, 31, 32, 63) for sign in (1, -1)]
INTS = st.integers(-(1 << 63), (1 << 64) - 1) | st.builds(
    lambda edge, delta: max(edge + delta, -(1 << 63)), st.sampled_from(EDGES), st.integers(-1, 1)
)
FIXED = st.sampled_from([bytes(size) for size in (1, 2, 4, 8, 16)])
EXTS = st.builds(Ext, st.integers(0, 127), st.binary(max_size=20) | FIXED)
NUMBERS = INTS | st.floats(allow_nan=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=40) | st.binary(max_size=40)
KEYS = st.text(max_size=4) | st.integers(-40, 300) | st.binary(max_size=3) | st.none()
TREES = st.recursive(
    SCALARS | EXTS,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(KEYS, inner, max_size=18),
    max_leaves=20,
)


def to_theirs(tree: Any) -> Any:
    match tree:
        case dict():
            return {key: to_theirs(value) for key, value in tree.items()}
        case list():
            return [to_theirs(value) for value in tree]
        case Ext():
            return theirs.ExtType(tree.code, tree.data)
        case _:
            return tree


# ---- what the specification shows


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("c0", None), ("c2", False), ("c3", True),
        ("00", 0), ("7f", 127), ("e0", -32), ("ff", -1),
        ("cc80", 128), ("ccff", 255), ("cd0100", 256), ("ce00010000", 65536), ("cf0000000100000000", 1 << 32),
        ("cfffffffffffffffff", (1 << 64) - 1),
        ("d0df", -33), ("d080", -128), ("d1ff7f", -129), ("d2ffff7fff", -32769),
        ("d3ffffffff7fffffff", -(1 << 31) - 1),
        ("d38000000000000000", -(1 << 63)),
        ("cb3ff8000000000000", 1.5),
        ("a0", ""), ("a3616263", "abc"), ("d920" + "61" * 32, "a" * 32), ("da0100" + "61" * 256, "a" * 256),
        ("c400", b""), ("c403010203", b"\x01\x02\x03"), ("c50100" + "00" * 256, bytes(256)),
        ("90", []), ("93010203", [1, 2, 3]), ("dc0010" + "00" * 16, [0] * 16),
        ("80", {}), ("81a16101", {"a": 1}), ("8101c0", {1: None}),
        ("de0010" + "".join(f"{n:02x}00" for n in range(16)), dict.fromkeys(range(16), 0)),
        ("d40501", Ext(5, b"\x01")), ("d8ff" + "00" * 16, Ext(-1, bytes(16))),
        ("c70305010203", Ext(5, b"\x01\x02\x03")),
        ("d6ff00000001", Ext(-1, b"\x00\x00\x00\x01")),
    ],
)  # fmt: skip
def test_each_format(wire: str, value: Any) -> None:
    assert same(unpack(bytes.fromhex(wire)), value)
    assert pack(value).hex() == wire


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("cc05", 5), ("cd0005", 5), ("cf0000000000000005", 5), ("d005", 5), ("d3ffffffffffffffff", -1),
        ("ca3fc00000", 1.5), ("d90161", "a"), ("da000161", "a"), ("db0000000161", "a"),
        ("c500010a", b"\n"), ("c6000000010a", b"\n"), ("dc000101", [1]), ("dd0000000101", [1]),
        ("de00010102", {1: 2}), ("df000000010102", {1: 2}),
        ("c8000105ff", Ext(5, b"\xff")), ("c900000001fbff", Ext(-5, b"\xff")),
    ],
)  # fmt: skip
def test_forms_that_are_not_the_smallest_are_read_and_kept(wire: str, value: Any) -> None:
    payload = bytes.fromhex(wire)
    assert same(unpack(payload), value)
    assert edit(payload, value) == payload
    assert edit(b"\x92" + payload + b"\x01", [value, 2]) == b"\x92" + payload + b"\x02"


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("00000001", "1970-01-01T00:00:01Z"),
        (struct.pack(">Q", 500_000_000 << 34 | 1), "1970-01-01T00:00:01.500000Z"),
        (struct.pack(">Iq", 0, -1), "1969-12-31T23:59:59Z"),
        (struct.pack(">Iq", 0, 1 << 60), "‹ext -1, 12 bytes›"),
        ("0000", "‹ext -1, 2 bytes›"),
    ],
)
def test_timestamps_in_summaries(data: str | bytes, shown: str) -> None:
    assert str(Ext(-1, bytes.fromhex(data) if isinstance(data, str) else data)) == shown


# ---- another implementation


@given(TREES)
def test_both_write_the_same_bytes(tree: Any) -> None:
    assert pack(tree) == theirs.packb(to_theirs(tree), use_bin_type=True)


@given(TREES)
def test_they_read_what_we_write_and_we_what_they_write(tree: Any) -> None:
    assert theirs.unpackb(pack(tree), strict_map_key=False) == to_theirs(tree)
    assert same(unpack(theirs.packb(to_theirs(tree))), tree)


def _their_reading(payload: bytes) -> Any:
    return theirs.unpackb(
        payload, strict_map_key=False, unicode_errors="surrogateescape", ext_hook=Ext, use_list=False
    )


def _plain(tree: Any) -> Any:
    """Ours, as theirs has it."""
    match tree:
        case dict():
            return {key: _plain(value) for key, value in tree.items()}
        case list():
            return tuple(_plain(value) for value in tree)
        case _:
            return tree


FIRSTS = st.sampled_from([*range(0x80, 0x85), *range(0x90, 0x95), *range(0xC0, 0xE0)])
LENGTHS = st.sampled_from([b"\x00", b"\x00\x00\x00"])
PIECES = st.one_of(
    SCALARS.map(pack), FIRSTS.map(lambda first: bytes((first,))), st.binary(min_size=1, max_size=3), LENGTHS
)
NOISE = st.lists(PIECES, max_size=15).map(lambda pieces: [bytes((0x90 | len(pieces),)), *pieces])


@given(NOISE.map(b"".join))
def test_noise_is_read_alike_or_refused_alike(payload: bytes) -> None:
    try:
        expected = _their_reading(payload)
    except (ValueError, theirs.exceptions.UnpackException):
        with pytest.raises(NotDecoded):
            unpack(payload)
        return
    except TypeError:
        return  # a map as a key
    ours = unpack(payload)
    if "RawKey" not in repr(ours) and b"\xff" not in payload:  # -1, their timestamps
        assert repr(_plain(ours)) == repr(expected)


# ---- edits


@given(TREES)
def test_an_edit_of_nothing_is_the_identity(tree: Any) -> None:
    payload = pack(tree)
    assert edit(payload, unpack(payload)) == payload


@given(TREES, st.data())
def test_an_edited_payload_says_the_tree(tree: Any, data: st.DataObject) -> None:
    payload = pack(tree)
    new = data.draw(edited(tree, TREES))
    assert same(unpack(edit(payload, new)), new)


@given(TREES, TREES)
def test_any_tree_may_take_the_place_of_any(old: Any, new: Any) -> None:
    assert same(unpack(edit(pack(old), new)), new)


def test_what_stays_keeps_its_form() -> None:
    payload = bytes.fromhex("de0003 d90161ca3fc00000 a16293cd000502d003 a16305".replace(" ", ""))
    tree = unpack(payload)
    assert tree == {"a": 1.5, "b": [5, 2, 3], "c": 5}
    tree["c"] = 300
    assert edit(payload, tree) == payload[:-1] + b"\xcd\x01\x2c"
    tree["b"] = [5, 3]
    assert edit(payload, tree).hex() == "de0003d90161ca3fc00000a16292cd0005d003a163cd012c"
    del tree["a"]
    assert edit(payload, tree).hex() == "82a16292cd0005d003a163cd012c"
    tree["d"] = b"\x00"
    assert edit(payload, tree).hex() == "de0003a16292cd0005d003a163cd012ca164c40100"


def test_a_doubled_key_that_changes_stands_once() -> None:
    payload = bytes.fromhex("83a16101a16202d9016103")
    assert unpack(payload) == {"a": 3, "b": 2}
    assert edit(payload, {"a": 3, "b": 2}) == payload
    assert edit(payload, {"a": 9, "b": 2}).hex() == "82a16202d9016109"
    assert edit(payload, {"b": 2}).hex() == "81a16202"
    assert edit(payload, {"a": 3, "b": 5}).hex() == "83a16101a16205d9016103"


def test_keys_of_any_kind() -> None:
    payload = bytes.fromhex("85 9101 01 81a16102 02 d40501 03 c0 04 cb3ff8000000000000 05".replace(" ", ""))
    tree = unpack(payload)
    assert list(tree.values()) == [1, 2, 3, 4, 5]
    assert list(tree) == [RawKey(b"\x91\x01"), RawKey(b"\x81\xa1a\x02"), RawKey(b"\xd4\x05\x01"), None, 1.5]
    assert pack(tree) == payload
    tree[RawKey(b"\x91\x01")] = 7
    del tree[None]
    assert edit(payload, tree).hex() == "84910107 81a1610202 d4050103 cb3ff800000000000005".replace(" ", "")


def test_text_that_is_not_utf8_survives() -> None:
    payload = b"\x92\xa2\xff\xfe\x01"
    tree = unpack(payload)
    assert tree == ["\udcff\udcfe", 1]
    assert pack(tree) == payload
    assert edit(payload, [tree[0], 2]) == b"\x92\xa2\xff\xfe\x02"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (1 << 64, "64 bits"), (-(1 << 63) - 1, "64 bits"), ("\ud800", "surrogate"),
        ({1, 2}, "cannot carry a set"), ({(1, 2): object()}, "cannot carry a object"),
    ],
)  # fmt: skip
def test_what_messagepack_cannot_carry(value: Any, sentence: str) -> None:
    for payload in (b"\x01", b"\x91\x01", b"\x81\x01\x02"):
        for new in (value, [value], {1: value}):
            with pytest.raises(ValueError, match=sentence):
                edit(payload, new)


def test_a_tree_in_itself() -> None:
    tree: list[Any] = [1]
    tree.append(tree)
    with pytest.raises(ValueError, match="in itself"):
        edit(b"\x91\x01", tree)


# ---- bounds


@given(st.binary(max_size=40))
def test_noise_is_refused_or_read(payload: bytes) -> None:
    for agreed in (True, False):
        found = decode_msgpack(payload, agreed=agreed)
        if found is not None:
            assert found.source is not None
            assert isinstance(found.summary, str)
            if not any(isinstance(key, float) and math.isnan(key) for key in _keys(found.tree)):
                assert found.source.encode(found.tree) == payload


def _keys(tree: Any) -> Any:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield key
            yield from _keys(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _keys(value)


@given(TREES.map(pack), st.data())
def test_a_part_is_not_the_whole(payload: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(payload) - 1))
    for torn in (payload[:cut], payload + b"\x00"):
        with pytest.raises(NotDecoded):
            unpack(torn)


def test_depth() -> None:
    assert unpack(b"\x91" * MAX_DEPTH + b"\x01")
    for wire in (b"\x91", b"\x81\x01", b"\x81", b"\xdd\x00\x00\x00\x01"):
        with pytest.raises(NotDecoded):
            unpack(wire * 500_000 + b"\x01")
        with pytest.raises(NotDecoded):
            unpack(wire * (MAX_DEPTH + 1) + b"\x01\x01")


def test_values_are_bounded() -> None:
    for wire in (b"\xdd%s" + b"\x01" * 300_000, b"\xdf%s" + b"\x01" * 600_000):
        with pytest.raises(NotDecoded):
            unpack(wire.replace(b"%s", (300_000).to_bytes(4, "big")))
    with pytest.raises(NotDecoded):
        unpack(b"\x9f" * 90 + b"\x01" * 1000)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\xdd\x00\x03\xff\xff" + b"\xc7\x01\x01\x01" * 0x3FFFF, id="ext values"),
        pytest.param(b"\xdd\x00\x03\xff\x00" + b"\x91\x01" * (0x3FFFF // 2), id="small arrays"),
        pytest.param(b"\xdd\xff\xff\xff\xff" * 100, id="lengths that are not there"),
        pytest.param(b"\xdf\x00\x01\xff\xff" + bytes(
            byte for n in range(0x1FFFF) for byte in (0x92, 0xCE, *n.to_bytes(4, "big"), 1, 0)
        ), id="arrays as keys"),
        pytest.param(b"\xdb\x00\xff\xff\xf0" + b"\xff" * 0xFFFFF0, id="text that is not UTF-8"),
    ],
)  # fmt: skip
def test_hostile_payloads_take_no_time(payload: bytes) -> None:
    begin = time.process_time()
    decode_msgpack(payload, agreed=True)
    assert time.process_time() - begin < 3


def test_an_edit_of_much_takes_no_time() -> None:
    tree = [{"id": n, "v": [n, 0.5]} for n in range(MAX_MSGPACK_VALUES // 10)]
    payload = pack(tree)
    for row in tree[::3]:
        row["v"] = 1
    del tree[::7]
    begin = time.process_time()
    assert unpack(edit(payload, tree)) == tree
    assert time.process_time() - begin < 5


# ---- what passes for MessagePack


@pytest.mark.parametrize(
    ("payload", "plain", "agreed"),
    [
        (b"\x81\xa1a\x01", True, True),
        (b"\x81\x01\x01", True, True),
        (b"\x92\x01\x02", True, True),
        (b"\x80", False, True),
        (b"\x90", False, True),
        (b"\x01", False, True),
        (b"\xa3abc", False, True),
        (b"\xc0", False, True),
        (b"\x81\xc0\x01", False, True),
        (b"\x81\xc4\x01a\x01", False, True),
        (b"\x92\x01", False, False),
        (b"\x92\x01\x02\x03", False, False),
        (b"\xc1", False, False),
        (b"", False, False),
        (b"\x89PNG\r\n\x1a\n", False, False),
    ],
)
def test_what_passes_for_messagepack(payload: bytes, plain: bool, agreed: bool) -> None:
    assert (decode_msgpack(payload, agreed=False) is not None) == plain
    assert (decode_msgpack(payload, agreed=True) is not None) == agreed


def test_little_noise_passes_for_it() -> None:
    """Of random bytes few are whole maps or arrays; the longer the fewer."""
    rng = random.Random(1)
    for size, most in ((4, 0.01), (16, 0.005), (64, 0.001)):
        passed = sum(decode_msgpack(rng.randbytes(size), agreed=False) is not None for _ in range(10_000))
        assert passed <= most * 10_000


def test_the_summary() -> None:
    def summary(tree: Any) -> str:
        found = decode_msgpack(pack(tree), agreed=True)
        assert isinstance(found, Decoded)
        return found.summary

    assert summary({"op": "add", 7: [1.5, None, True, b"abc"]}) == '{"op":"add",7:[1.5,null,true,‹3 bytes›]}'
    assert summary({"t": Ext(-1, bytes(4))}) == '{"t":1970-01-01T00:00:00Z}'
    assert len(summary(["x" * 1000] * 1000)) <= 200
    assert summary(["a\nb\x1b"]) == '["a\\nb\\u001b"]'
