"""The bytes of a record: each one round, and what a reader makes of another's."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsinspect.capture import facts
from wsinspect.capture.format import (
    HEADER,
    MAGIC,
    Checkpoint,
    RecordType,
    Segment,
    checkpoint_record,
    decode,
    encode,
    is_intact,
    pack,
    segment_record,
)
from wsinspect.model import (
    Altered,
    Clock,
    Closed,
    Ended,
    Fact,
    FactRecord,
    Failed,
    Gap,
    How,
    Judged,
    Notice,
    Opened,
    Outcome,
    Read,
    Record,
    Released,
    Requested,
    Ruled,
    RuleHit,
    Sent,
    Side,
    TlsInfo,
    Unknown,
)

u64 = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)
sides = st.sampled_from(Side)
headers = st.lists(st.tuples(st.text(), st.text()), max_size=3)
addresses = st.none() | st.tuples(st.text(), st.integers(0, 65535))
maybe_text = st.none() | st.text()
tls = st.none() | st.builds(TlsInfo, version=maybe_text, cipher=maybe_text, alpn=maybe_text, sni=maybe_text)
FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.builds(
        Requested,
        url=st.text(),
        headers=headers,
        client=addresses,
        listener=addresses,
        mode=st.text(),
        tls=tls,
    ),
    st.builds(Opened, status=st.integers(100, 599), headers=headers, server=addresses, tls=tls),
    st.builds(
        Failed,
        phase=st.sampled_from(["dns", "tls-client", "unknown"]),
        message=st.text(),
        errno=maybe_text,
        body=st.binary(),
    ),
    st.builds(Altered, what=st.text(), before=st.text(), after=st.text()),
    st.builds(
        Ended,
        side=sides,
        how=st.sampled_from(How),
        errno=maybe_text,
        tcp_info=st.none() | st.dictionaries(st.text(), st.integers(0, 2**64)),
    ),
    st.builds(Closed, frames=st.tuples(u64, u64), wire_bytes=st.tuples(u64, u64)),
    st.builds(Notice, code=st.text(), text=st.text(), side=st.none() | sides),
    st.builds(
        Judged,
        side=sides,
        first_frame=u64,
        last_frame=u64,
        outcome=st.sampled_from(Outcome),
        hits=st.lists(
            st.builds(RuleHit, rule=st.text(), did=st.lists(st.text(), max_size=3).map(tuple)), max_size=3
        ),
        captured=st.sampled_from(["whole", "redacted", "nothing"]),
        tags=st.lists(st.text(), max_size=2),
    ),
    st.builds(Released, side=sides, hold=u64, how=st.sampled_from(["edit", "drop"]), held_ms=st.floats(0, 9)),
    st.builds(Ruled, files=st.lists(st.text(), max_size=2), rules=st.lists(st.text(), max_size=2)),
    st.builds(
        Unknown,
        name=st.text().filter(lambda name: name not in facts.FACT_TYPES),
        values=st.dictionaries(st.text().filter(lambda key: key != "fact"), st.integers() | st.text()),
    ),
)
RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(
        Read,
        conn=u32,
        side=sides,
        t_ns=u64,
        data=st.binary(),
        offset=u64,
        frame=u64,
        left=u64,
        carry=st.integers(0, 13),
        state=st.integers(0, 255),
    ),
    st.builds(
        Sent,
        conn=u32,
        side=sides,
        t_ns=u64,
        data=st.binary(),
        offset=u64,
        why=st.text(max_size=1000),
        rule=st.none() | st.text(max_size=1000),
    ),
    st.builds(
        lambda first, more, wire: Sent(
            1, Side.SERVER, 5, b"x", 7, "modified", "r", first, first + more, wire
        ),
        st.integers(1, 2**32),
        st.integers(0, 9),
        u64,
    ),
    st.builds(Gap, conn=u32, side=sides, t_ns=u64, offset=u64, nbytes=u64, reason=st.text()),
    st.builds(Clock, t_ns=u64, wall_ns=u64),
    st.builds(FactRecord, conn=u32, t_ns=u64, fact=FACTS),
)


@pytest.mark.slow
@given(RECORDS)
def test_decode_of_encode_is_the_identity(record: Record) -> None:
    whole = b"".join(encode(record))
    assert is_intact(whole)
    assert decode(whole) == record


@given(RECORDS, st.data())
def test_any_flipped_bit_is_noticed(record: Record, data: st.DataObject) -> None:
    whole = bytearray(b"".join(encode(record)))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    assert not is_intact(bytes(whole))


@given(st.integers(1, 63), st.binary(), st.integers(0, 255))
def test_no_payload_makes_decode_raise(kind: int, payload: bytes, side: int) -> None:
    decode(pack(kind, payload, 0, side=side))


def test_the_layout_is_the_documented_one() -> None:
    read = Read(7, Side.SERVER, 99, b"hello", offset=3, frame=2, left=5, carry=1, state=16)
    head, data = encode(read)
    assert MAGIC == b"WSCAP\x01\r\n"
    assert struct.unpack("<IIBBBBIQQQQ", head)[1:] == (29, 2, 1, 1, 16, 7, 99, 3, 2, 5)
    assert data is read.data


def test_a_segment_and_a_checkpoint_go_round() -> None:
    segment = Segment(1, 2, 3, "host", "0.1.0", 4)
    assert decode(segment_record(segment)) == segment
    fact = FactRecord(5, 6, Requested(url="ws://x/"))
    assert decode(checkpoint_record(9, [(5, 6, facts.dumps(fact.fact))])) == Checkpoint([fact])


def test_unknown_records_decode_to_nothing_and_unknown_facts_are_kept() -> None:
    assert decode(pack(42, b"new", 0)) is None
    payload = b'{"fact":"weather","sky":"blue"}'
    assert decode(pack(RecordType.FACT, payload, 1, conn=2)) == FactRecord(
        2, 1, Unknown(name="weather", values={"sky": "blue"})
    )
    assert facts.loads(facts.dumps(Unknown(name="weather", values={"sky": "blue"}))) == Unknown(
        name="weather", values={"sky": "blue"}
    )


@pytest.mark.parametrize(
    ("payload", "fact"),
    [
        (b'{"fact":"requested","url":"ws://x/","later":1}', Requested(url="ws://x/")),
        (b'{"fact":"requested","url":"ws://x/","method":7}', Requested(url="ws://x/")),
        (b'{"fact":"opened","headers":[["A"]]}', Opened()),
        (b'{"fact":"ended","side":1,"how":"rst"}', Ended(side=Side.SERVER, how=How.RST)),
        (b'{"fact":"ended","side":"client","how":"magic"}', None),
        (b'{"fact":"requested"}', None),
        (b'{"fact":"notice","code":"c","text":"t","level":"loud"}', Notice(code="c", text="t")),
        (b'{"fact":"ended","side":true,"how":"rst"}', None),
    ],
)
def test_facts_are_read_leniently(payload: bytes, fact: Fact | None) -> None:
    found = facts.loads(payload)
    if fact is None:  # what is required does not fit: kept as it came
        assert isinstance(found, Unknown)
    else:
        assert found == fact


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"fact":1}', b"\xff", b"[" * 100_000])
def test_what_is_no_fact_is_none(payload: bytes) -> None:
    assert facts.loads(payload) is None


def test_every_fact_of_the_model_is_known() -> None:
    examples: list[Any] = [
        Requested, Opened, Failed, Altered, Ended, Closed, Notice, Judged, Released, Ruled,
    ]  # fmt: skip
    assert {cls.kind for cls in examples} == set(facts.FACT_TYPES)
    assert all(dataclasses.is_dataclass(cls) for cls in facts.FACT_TYPES.values())
    assert HEADER.size == 24
