"""What every condition is.

    class Size(Condition):
        field = Field("size", Type.SIZE_TEST, "Bytes of the payload, inflated.")
        example = 'size: ">4KiB"'
        reach = FRAMES                      # where it could hold at all

        def test(self, view: View) -> bool: …
        def explain(self) -> str: …         # "its size is over 4 KiB"

Conditions hold no state and are shared by all connections. Beside `test` they tell the compiler of rules what
it can use: a reach, texts that must occur, values by which rules are found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from wsinspect.rules.fields import Field
from wsinspect.rules.jsonpath import Path
from wsinspect.rules.predicates import Predicate
from wsinspect.rules.reach import EVERYWHERE
from wsinspect.rules.template import Expression

if TYPE_CHECKING:
    from wsinspect.rules.connection_facts import ConnectionFacts
    from wsinspect.rules.view import View


MAX_WORTH = 1 << 16


@dataclass(frozen=True, slots=True)
class Needles:
    """Byte strings and patterns of which one occurs in the payload wherever a condition holds."""

    texts: frozenset[bytes] = frozenset()
    in_tree: bool = False
    """They stand for texts of the decoded tree: that is sound for payloads that carry them as they are, such
    as JSON without a backslash."""
    patterns: frozenset[str] = frozenset()
    """RE2's, over UTF-8."""
    is_name: bool = False
    """Of a place, whatever value is there."""

    @property
    def worth(self) -> tuple[bool, int, int]:
        """The more, the fewer messages have one by chance."""
        shortest = min(map(len, self.texts), default=MAX_WORTH)
        count = len(self.texts) + len(self.patterns)
        return not self.is_name, 0 if self.patterns else shortest, -count


@dataclass(frozen=True, slots=True)
class Sought:
    """A place of the tree, and what holds for a value there wherever a condition holds."""

    path: Path
    test: Predicate
    """Asks nothing but the value."""


class Condition:
    """Base of all conditions. `value` is what `field.type` becomes."""

    field: ClassVar[Field]
    example: ClassVar[str] = ""
    """YAML of the condition alone; it must load."""
    static: ClassVar[bool] = False
    """It looks at the connection only: `known` answers it once and for all."""
    reads_payload: ClassVar[bool] = False
    """It needs a payload that came whole."""
    cost: ClassVar[int] = 1
    """The dearer ones are tried last."""

    reach: int = EVERYWHERE
    """Where it could hold."""
    exact: bool = False
    """It holds everywhere in its reach: there is nothing to test."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def test(self, view: View) -> bool:
        raise NotImplementedError

    def explain(self) -> str:
        """A clause: `its size is over 4 KiB`."""
        raise NotImplementedError

    def known(self, facts: ConnectionFacts) -> bool | None:
        """What it gives for every message of the connection, where that is known before the first one."""
        return None

    def children(self) -> tuple[Condition, ...]:
        return ()

    def walk(self) -> Iterator[Condition]:
        """It and all below it."""
        yield self
        for child in self.children():
            yield from child.walk()

    def expressions(self) -> Iterator[Expression]:
        """The `{{…}}` in its own values."""
        return iter(())

    def needles(self) -> Needles | None:
        return None

    def all_needles(self) -> tuple[Needles, ...]:
        """Each by itself is as good as `needles`, which are one of them."""
        found = self.needles()
        return () if found is None else (found,)

    def sought(self) -> tuple[Sought, ...]:
        """What it asks of the decoded tree; each by itself leaves out only what it cannot hold for."""
        return ()

    def never(self) -> str:
        """Why it can hold nowhere, in words; empty where it can."""
        return ""

    def unlikely(self) -> str:
        """Why it holds only where a peer breaks the protocol, in words; empty where it need not."""
        return ""
