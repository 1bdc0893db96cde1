"""Whatever comes, however it is cut: rules that match nothing change nothing, and strict peers stay happy."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.proxy.test_transparent import wild_traffic
from tests.relay.judges import Script, plan
from tests.relay.peers import Peers
from tests.relay.play import C, Play, S
from tests.rules.test_lanes import conditions, payloads, ruleset
from wsinspect.decode.registry import decoder_for
from wsinspect.model import Message, Requested, Side
from wsinspect.model.plans import Fate, Plan
from wsinspect.rules.engine import ConnectionRules
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.frames import FrameDecoder

ALL = [
    DeflateParams(server_no_context_takeover=server, client_no_context_takeover=client)
    for server in (False, True)
    for client in (False, True)
]
parameters = st.none() | st.builds(
    DeflateParams,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=st.integers(9, 15),
    client_max_window_bits=st.integers(9, 15),
)


def cut(stream: bytes, rng: random.Random, most: int) -> list[bytes]:
    places = sorted(rng.randrange(len(stream) + 1) for _ in range(rng.randrange(most)))
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True) if a < b]


def parts(data: bytes, side: Side) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]], bool]:
    """Data frames and control frames of a stream, each in order, byte for byte, and whether it goes blind."""
    decoder = FrameDecoder(side, rsv_allowed=7)
    found = [(f.opcode, f.fin, f.rsv, f.mask, f.payload, f.header_bytes) for f in decoder.receive(data)]
    data_frames = [each for each in found if each[0] < 8]
    return data_frames, [each for each in found if each[0] >= 8], decoder.blind  # type: ignore[return-value]


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), params=parameters, side=st.sampled_from(Side), late=st.booleans())
def test_rules_that_match_nothing_move_no_byte_whatever_comes(
    seed: int, params: DeflateParams | None, side: Side, late: bool
) -> None:
    """Wild traffic, violations included; control frames alone may overtake fragments that are kept."""
    rng = random.Random(seed)
    stream = wild_traffic(rng, masked=side is C, count=12)
    play = Play(None if late else Script({}, control={}), deflate=params)
    for number, piece in enumerate(cut(stream, rng, 30)):
        if late and number == 3:
            play.judge(Script({}, control={"nothing at all": None}))
        play.receive(side, piece)
    play.end(side)
    out = play.bytes_to(side.other)
    assert len(out) == len(stream)
    assert parts(out, side) == parts(stream, side)
    assert play.outcomes() == []


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), params=parameters, side=st.sampled_from(Side))
def test_messages_that_no_rule_matches_go_out_in_their_very_bytes(
    seed: int, params: DeflateParams | None, side: Side
) -> None:
    rng = random.Random(seed)
    peers = Peers(params)
    stream = b"".join(peers.send(side, some_text(rng), pieces=rng.choice([1, 1, 3])) for _ in range(30))
    play = Play()
    play.headers = peers.headers
    play.judge(Script({}))
    for piece in cut(stream, rng, 40):
        play.receive(side, piece)
    assert play.bytes_to(side.other) == stream


@settings(deadline=None, max_examples=60)
@given(
    whens=st.lists(conditions, min_size=1, max_size=5),
    texts=st.lists(payloads, min_size=1, max_size=12),
    seed=st.integers(0, 2**32),
    params=parameters,
    side=st.sampled_from(Side),
)
def test_rules_that_do_nothing_leave_all_bytes_as_they_came(
    whens: list[dict[str, Any]], texts: list[bytes], seed: int, params: DeflateParams | None, side: Side
) -> None:
    """Rules of any conditions, whether they match or not, as the proxy compiles them."""
    loaded = ruleset(whens)
    assume(loaded is not None)
    assert loaded is not None
    rng = random.Random(seed)
    peers, requested = Peers(params), Requested(url="ws://h/ws")
    stream = b"".join(peers.send(side, text, pieces=rng.choice([1, 1, 3])) for text in texts)
    play = Play()
    play.headers = peers.headers
    judge = ConnectionRules(loaded, requested, conn=7, decoder=decoder_for(requested.url))
    play.judge(judge, opening=True)  # type: ignore[arg-type]
    for piece in cut(stream, rng, 20):
        play.receive(side, piece)
    assert play.bytes_to(side.other) == stream
    assert all(each == "passed" for each in play.outcomes())


def some_text(rng: random.Random) -> bytes:
    words = [b"price", b"ticker", b"hello", b'{"id":', b"}", b"the same words", b"%d" % rng.randrange(1000)]
    return b" ".join(rng.choices(words, k=rng.choice([0, 1, 5, 40])))


class AtRandom(Script):
    """Drops and changes messages, doubles and delays them, each now and then."""

    def __init__(self, rng: random.Random, *, times: bool) -> None:
        super().__init__({})
        self._rng = rng
        self._times = times
        self.expected: list[bytes] = []
        """What the other side shall get, where order is kept."""

    def message(self, message: Message, now_ns: int) -> Plan | None:
        rng, payload = self._rng, message.payload
        copies = 1
        verdict = None
        match rng.randrange(8):
            case 0:
                return plan(fate=Fate.DROP)
            case 1:
                payload = some_text(rng) + b" changed"
                verdict = plan(payload=payload)
            case 2:
                copies = rng.choice([2, 3])
                verdict = plan(copies=copies)
            case 3 if self._times:
                verdict = plan(delay_ms=rng.choice([1, 20]))
            case 4 if self._times:
                verdict = plan(behind=rng.choice([1, 2]), behind_ms=rng.choice([5, 1000]))
        self.expected += [payload] * copies
        return verdict


def run(params: DeflateParams | None, seed: int, count: int, *, times: bool) -> None:
    rng = random.Random(seed)
    peers = Peers(params)
    script = AtRandom(rng, times=times)
    play = Play()
    play.headers = peers.headers
    for side in Side:
        script.expected.clear()
        play.judge(script)
        got: list[bytes] = []
        taken = 0
        for _ in range(count):
            data = peers.send(side, some_text(rng), pieces=rng.choice([1, 1, 2, 5]))
            if rng.randrange(5) == 0:
                data += peers.ping(side, b"?")
            for piece in cut(data, rng, 3):
                play.receive(side, piece)
            if times:
                play.wait(rng.choice([0, 0, 0, 7]))
            out = play.got[side.other]
            for each in out[taken:]:
                assert isinstance(each, bytes)
                got += peers.receive(side.other, each)
            taken = len(out)
        play.wait(5000)
        for each in play.got[side.other][taken:]:
            assert isinstance(each, bytes)
            got += peers.receive(side.other, each)
        assert sorted(got) == sorted(script.expected)
        if not times:
            assert got == script.expected
        assert "window-broken" not in play.codes()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), params=parameters, times=st.booleans())
def test_strict_peers_are_happy_with_what_rules_leave(
    seed: int, params: DeflateParams | None, times: bool
) -> None:
    run(params, seed, 40, times=times)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), params=parameters, early=st.integers(1, 5), reset=st.booleans())
def test_rules_that_come_late_and_go_again_leave_no_message_wrong(
    seed: int, params: DeflateParams | None, early: int, reset: bool
) -> None:
    """Whatever of the window is known: what arrives is what was sent, or what a rule made of it."""
    rng = random.Random(seed)
    peers, play = Peers(params), Play()
    play.headers = peers.headers
    sent, got, taken = set[bytes](), list[bytes](), 0
    for number in range(60):
        if number == early or number == 45:
            play.judge(AtRandom(rng, times=True))
        elif number == 30 or (reset and number == 50):
            play.judge(None)
        text = b"%d %s %s" % (number, some_text(rng), rng.randbytes(600) if rng.randrange(9) == 0 else b"")
        sent.add(text)
        for piece in cut(peers.send(S, text, pieces=rng.choice([1, 2])), rng, 3):
            play.receive(S, piece)
        play.wait(rng.choice([0, 30]))
        for each in play.got[C][taken:]:
            assert isinstance(each, bytes)
            got += peers.receive(C, each)
        taken = len(play.got[C])
    assert all(text in sent or text.endswith(b" changed") for text in got)
    assert "window-broken" not in play.codes()


@pytest.mark.slow
@pytest.mark.parametrize("times", [False, True], ids=["in-order", "moved"])
@pytest.mark.parametrize("params", ALL, ids=lambda params: params.header()[18:] or "context-takeover")
def test_strict_peers_are_happy_for_thousands_of_messages(params: DeflateParams, times: bool) -> None:
    run(params, 1, 10_000, times=times)
