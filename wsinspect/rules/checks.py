"""What is wrong between rules: ids twice, names that nothing defines, rules that another one hides."""

from __future__ import annotations

from collections.abc import Sequence

from wsinspect.errors import did_you_mean
from wsinspect.rules.conditions import After, All, Condition
from wsinspect.rules.marked import Scalar
from wsinspect.rules.reading import Reading
from wsinspect.rules.rule import Rule
from wsinspect.rules.template import TemplateError, check_names


def check(reading: Reading, rules: Sequence[Rule]) -> None:
    """Tell all of it. `rules`: those that are right; names are checked in the others too."""
    _ids(reading)
    if not reading.defined.values_unclear:
        _values(reading)
    if not reading.defined.ids_unclear:
        _counters(reading)
    _hidden(reading, rules)


def _ids(reading: Reading) -> None:
    first: dict[str, Scalar] = {}
    for written in reading.defined.rules:
        before = first.setdefault(written.text, written)
        if before is not written:
            where = f"line {before.place.line}"
            if before.place.file != written.place.file:
                where = f"{before.place.file}:{before.place.line}"
            reading.say(written.place, f"the id {written.text} is taken (first in {where})")


def _values(reading: Reading) -> None:
    """Names of `{{…}}` and of `captured`."""
    defined = reading.defined
    known = {*reading.vars, *defined.vars, *defined.captured}
    fixed = {name: value for name, value in reading.vars.items() if name not in defined.captured}
    for place, expression in reading.asked:
        try:
            check_names([expression], known, fixed)
        except TemplateError as error:
            reading.say(place, error.sentence)
    for name in reading.captured_asked:
        if name.text not in known:
            reading.say(
                name.place, f"captured: nothing captures {name.text!r}{did_you_mean(name.text, known)}"
            )


def _counters(reading: Reading) -> None:
    ids = reading.defined.ids
    for name in reading.rules_asked:
        if name.text not in ids:
            near = did_you_mean(name.text, ids)
            reading.say(name.place, f"counter: there is no rule {name.text!r}{near}")


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
