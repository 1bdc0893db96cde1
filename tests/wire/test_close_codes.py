from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError
from websockets.frames import Close

from wsinspect.model import Violation
from wsinspect.wire.close_codes import CLOSE_CODES, close_code, describe, encode_close, parse_close


def test_no_payload_is_no_code() -> None:
    assert parse_close(b"") == (None, "", ())
    assert encode_close(None) == b""


def test_one_byte_is_a_violation() -> None:
    assert parse_close(b"\x03") == (None, "", (Violation.BAD_CLOSE_LENGTH,))


def test_reason_that_is_not_utf8() -> None:
    code, reason, violations = parse_close(b"\x03\xe8bad \xff")
    assert (code, reason) == (1000, "bad �")
    assert violations == (Violation.BAD_CLOSE_REASON,)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_codes_that_must_not_stand_on_the_wire_are_shown_all_the_same(code: int) -> None:
    assert parse_close(encode_close(code, "why")) == (code, "why", (Violation.BAD_CLOSE_CODE,))


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
def test_codes_that_may(code: int) -> None:
    assert parse_close(encode_close(code)) == (code, "", ())


@given(st.integers(0, 65535), st.text(max_size=20))
def test_decode_of_encode_is_the_identity_and_websockets_agrees(code: int, reason: str) -> None:
    payload = encode_close(code, reason)
    got_code, got_reason, violations = parse_close(payload)
    assert (got_code, got_reason) == (code, reason)
    try:
        Close.parse(payload).check()
        fine = True
    except ProtocolError:
        fine = False
    assert (violations == ()) == fine


@given(st.binary(max_size=30))
def test_never_raises_on_peer_bytes(payload: bytes) -> None:
    code, reason, _ = parse_close(payload)
    assert (code is None) == (len(payload) < 2)
    reason.encode()


def test_describe() -> None:
    assert describe(1006) == "1006 abnormal closure"
    assert describe(None) == "no code"
    assert describe(3500) == "3500 library code"
    assert describe(4999) == "4999 private code"
    assert describe(2000) == "2000 unassigned"
    assert [describe(code) for code in (7, 60000)] == ["7 unused", "60000 out of range"]


def test_the_table_is_the_registry() -> None:
    assert list(CLOSE_CODES) == list(range(1000, 1016))
    assert [code for code, entry in CLOSE_CODES.items() if not entry.may_stand_on_wire] == [
        1004,
        1005,
        1006,
        1015,
    ]
    assert all(entry.sentence and close_code(code) is entry for code, entry in CLOSE_CODES.items())


def test_what_cannot_be_encoded() -> None:
    with pytest.raises(ValueError, match="needs a code"):
        encode_close(None, "reason")
    with pytest.raises(ValueError, match="does not fit"):
        encode_close(65536)
