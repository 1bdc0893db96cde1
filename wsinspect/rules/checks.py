"""What is wrong between rules: ids twice, names that nothing defines, rules that another one hides."""

from __future__ import annotations

from collections.abc import Sequence

from wsinspect.errors import did_you_mean
from wsinspect.rules.conditions import After, All, Condition
from wsinspect.rules.conditions.conversation import Captured, Counter
from wsinspect.rules.marked import Node, Place, scalars_in
from wsinspect.rules.reach import FRAMES
from wsinspect.rules.reading import Reading
from wsinspect.rules.rule import Rule
from wsinspect.rules.template import Expression, TemplateError, check_names


def check(reading: Reading, rules: Sequence[Rule]) -> None:
    """Tell all of it."""
    _ids(reading, rules)
    _names(reading, rules)
    _hidden(reading, rules)


def _ids(reading: Reading, rules: Sequence[Rule]) -> None:
    first: dict[str, Rule] = {}
    for rule in rules:
        before = first.setdefault(rule.id, rule)
        if before is not rule:
            where = f"line {before.place.line}"
            if before.place.file != rule.place.file:
                where = f"{before.place.file}:{before.place.line}"
            reading.say(rule.place, f"the id {rule.id} is taken (first in {where})")


def _names(reading: Reading, rules: Sequence[Rule]) -> None:
    """Names of `{{…}}`, of `captured` and of `counter` that nothing defines."""
    known = {*reading.vars, *reading.captured}
    fixed = {name: value for name, value in reading.vars.items() if name not in reading.captured}
    for rule in rules:
        for expression in rule.expressions():
            try:
                check_names([expression], known, fixed)
                if not expression.name and not rule.reach & FRAMES:
                    sentence = (
                        f"{{{{{expression.source}}}}}: the rule sees no message that it could come from"
                    )
                    raise TemplateError(expression.source, expression.position, sentence)
            except TemplateError as error:
                reading.say(_place_of(expression, reading.nodes[rule.id]) or rule.place, error.sentence)
        for condition in rule.conditions():
            wanted, defined, what = _asked(condition, known, reading.ids)
            for name in wanted:
                if name not in defined:
                    hint = did_you_mean(name, defined)
                    reading.say(rule.place, f"rule {rule.id}: {what} {name!r}{hint}")


def _place_of(expression: Expression, node: Node) -> Place | None:
    """Where in the rule the expression stands; None where it comes out of another file."""
    for scalar in scalars_in(node):
        if "{{" in scalar.text and expression.source in scalar.text:
            return scalar.place
    return None


def _asked(condition: Condition, known: set[str], ids: set[str]) -> tuple[Sequence[str], set[str], str]:
    match condition:
        case Captured():
            return list(condition.value), known, "nothing captures"
        case Counter():
            return list(condition.value), ids, "`counter` asks for a rule that is not there,"
        case _:
            return (), set(), ""


def _hidden(reading: Reading, rules: Sequence[Rule]) -> None:
    """A rule that stops at every message leaves nothing to those behind it."""
    covered = 0
    by: list[Rule] = []
    for rule in rules:
        if not rule.enabled:
            continue
        if covered and rule.reach & ~covered == 0:
            stopper = next(each for each in by if each.reach & rule.reach)
            reading.warn(
                rule.place,
                f"rule {rule.id} never sees anything: {stopper.id} (line {stopper.place.line}) stops it all",
            )
        elif rule.stop and rule.always and _unconditional(rule.condition):
            covered |= rule.reach
            by.append(rule)


def _unconditional(condition: Condition) -> bool:
    parts = condition.value if isinstance(condition, All) else (condition,)
    return all(each.exact and not isinstance(each, After) for each in parts)
