"""What a connection keeps when other rules come to judge it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wsinspect.rules.conversation import Conversation, RuleState
from wsinspect.rules.rule import Rule

type Memories = dict[int, dict[str, Any]]
"""Of actions, by `id(action)`; 0 is the connection's own."""


def carry_over(
    old: Iterable[Rule], new: Iterable[Rule], conversation: Conversation, memories: Memories
) -> None:
    """Keep the state of each rule whose id and text are the same, and drop that of all others."""
    before = {rule.id: rule for rule in old}
    states: dict[str, RuleState] = {}
    kept: Memories = {0: memories[0]} if 0 in memories else {}
    earlier: dict[int, int] = {}
    for rule in new:
        past = before.get(rule.id)
        if past is None or past.written != rule.written:
            continue
        if rule.id in conversation.states:
            states[rule.id] = conversation.states[rule.id]
        for was, now in zip(past.actions, rule.actions, strict=True):
            if id(was) in memories:
                kept[id(now)] = memories[id(was)]
        for waited, waits in zip(past.afters(), rule.afters(), strict=True):
            if id(waited) in conversation.earlier:
                earlier[id(waits)] = conversation.earlier[id(waited)]
    conversation.states = states
    conversation.earlier = earlier
    memories.clear()
    memories.update(kept)
