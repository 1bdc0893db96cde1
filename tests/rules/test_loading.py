"""Files and folders, merged: order, vars, seeds, limits, and everything wrong at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.world import CLIENT, World, rules
from wsinspect.errors import BadRules
from wsinspect.rules import loader
from wsinspect.rules.loading import load_rules
from wsinspect.rules.marked import Pairs, written


def file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def one_rule(rule: str, head: str = "") -> str:
    return f"version: 1\n{head}\nrules: [{{id: {rule}, when: {{text: x}}, then: [tag: t]}}]\n"


def test_files_and_folders_merge_in_order(tmp_path: Path) -> None:
    file(tmp_path, "many/b.yml", one_rule("b", "vars: {x: 2}\nseed: 2"))
    file(tmp_path, "many/a.yaml", one_rule("a", "vars: {x: 1, y: 1}"))
    file(tmp_path, "many/.hidden.yaml", "broken: [")
    file(tmp_path, "many/readme.txt", "broken: [")
    file(tmp_path, "many/deeper/c.yaml", "broken: [")
    last = file(tmp_path, "last.yaml", one_rule("last"))
    loaded = load_rules([tmp_path / "many", last, tmp_path / "many" / "a.yaml"])
    assert loaded.ids == ("a", "b", "last")
    assert loaded.vars == {"x": 2, "y": 1}
    assert loaded.seed == 2
    assert [Path(each.name).name for each in loaded.files] == ["a.yaml", "b.yml", "last.yaml"]
    assert loaded.paths == (tmp_path / "many", last, tmp_path / "many" / "a.yaml")


def test_an_id_in_two_files_is_told_with_both_places(tmp_path: Path) -> None:
    first, second = (file(tmp_path, name, one_rule("same")) for name in ("a.yaml", "b.yaml"))
    with pytest.raises(BadRules) as caught:
        load_rules([first, second])
    assert [str(each) for each in caught.value.problems] == [
        f"{second}:3:14: the id same is taken (first in {first}:3)"
    ]


def test_what_is_not_there_is_told_with_what_is_wrong_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    bad = file(tmp_path, "bad.yaml", "version: 1\nrulez: []\n")
    with pytest.raises(BadRules) as caught:
        load_rules([tmp_path / "baad.yaml", tmp_path / "empty", bad])
    assert [str(each) for each in caught.value.problems] == [
        f"{tmp_path}/baad.yaml: no such file; did you mean {bad}?",
        f"{tmp_path}/empty: no rule file in this folder: *.yaml and *.yml are looked for",
        f"{bad}:2:1: a rule file has no 'rulez'; did you mean rules?",
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("deeper/x.yaml", "; folders in it are not looked into: name {folder}/deeper itself"),
        (".x.yaml", "; .x.yaml is hidden, and so left out"),
        ("readme.md", ""),
    ],
)
def test_a_folder_says_what_it_looks_for_and_what_it_did_not_take(
    name: str, hint: str, tmp_path: Path
) -> None:
    file(tmp_path, name, one_rule("r"))
    with pytest.raises(BadRules) as caught:
        load_rules([tmp_path])
    looked_for = "no rule file in this folder: *.yaml and *.yml are looked for"
    assert [each.text for each in caught.value.problems] == [looked_for + hint.format(folder=tmp_path)]


def test_a_folder_takes_its_files_whatever_the_case_of_their_ends(tmp_path: Path) -> None:
    file(tmp_path, "a.YAML", one_rule("first"))
    file(tmp_path, "b.Yml", one_rule("second"))
    assert [rule.id for rule in load_rules([tmp_path]).rules] == ["first", "second"]


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    """A link to itself was said to be no such file, and suggested in its own place."""
    loop, gone = tmp_path / "loop.yaml", tmp_path / "gone.yaml"
    loop.symlink_to(loop)
    gone.symlink_to("nowhere.yaml")
    with pytest.raises(BadRules) as caught:
        load_rules([loop, gone, tmp_path / ("x" * 300)])
    assert [each.text for each in caught.value.problems] == [
        "a link that leads back to itself",
        "a link to nowhere.yaml, which is not there",
        "cannot be read: File name too long",
    ]


def test_a_file_that_is_too_large_or_no_text(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (loader.MAX_FILE_BYTES + 1))
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"version: 1\n# caf\xe9\n")
    with pytest.raises(BadRules) as caught:
        load_rules([large, latin])
    assert [each.text for each in caught.value.problems] == ["is larger than 1 MiB", "is not UTF-8 here"]
    assert (caught.value.problems[1].line, caught.value.problems[1].column) == (2, 6)


def test_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + one_rule("r").encode())
    assert load_rules([path]).ids == ("r",)


def test_anchors_may_be_used_again() -> None:
    loaded = rules("""
        - {id: a, when: &x {text: x}, then: &then [tag: t]}
        - {id: b, when: *x, then: *then}
    """)
    world = World(loaded)
    assert world.ids(world.text(CLIENT, "x")) == ["a", "b"]
    assert loaded.rules[0].written != loaded.rules[1].written


def test_a_rule_is_the_same_whatever_its_place_comments_and_anchors() -> None:
    one, _ = loader.compose("a", "{a: [1, 'x'], b: {c: no}}")
    same, _ = loader.compose("b", "# hello\na:\n- 1\n- 'x'   # x\nb: &b\n  c: no\n")
    other, _ = loader.compose("a", "{a: ['1', 'x'], b: {c: no}}")
    assert isinstance(one, Pairs)
    assert isinstance(same, Pairs)
    assert isinstance(other, Pairs)
    assert written(one) == written(same) != written(other)


def test_a_file_of_an_action_lies_beside_its_rules(tmp_path: Path) -> None:
    file(tmp_path, "data/answer.json", '{"ok": true}')
    text = "version: 1\nrules: [{id: r, when: {text: x}, then: [payload: {file: %s}]}]\n"
    good = file(tmp_path, "good.yaml", text % "data/answer.json")
    plan = World(load_rules([good])).text(CLIENT, "x")
    assert plan is not None
    assert plan.payload == b'{"ok": true}'
    (tmp_path / "secret").write_text("s")
    for name, said in (
        ("../secret", "a file must lie under the rule file's folder"),
        ("/etc/passwd", "a file must lie under the rule file's folder"),
        ("answer.jso", "no such file"),
    ):
        bad = file(tmp_path, "sub/bad.yaml", text % name)
        with pytest.raises(BadRules, match=said):
            load_rules([bad])


def test_python_needs_to_be_allowed_and_nothing_is_imported_before(tmp_path: Path) -> None:
    file(tmp_path, "hook.py", "raise SystemExit('imported')\n")
    bad = file(
        tmp_path, "a.yaml", "version: 1\nrules: [{id: r, when: {text: x}, then: [python: 'hook:f']}]\n"
    )
    with pytest.raises(BadRules, match=r"a.yaml:2:41: `python` runs Python code .* --allow-python"):
        load_rules([bad])


def test_rules_of_one_file_may_use_the_vars_of_another(tmp_path: Path) -> None:
    first = file(tmp_path, "a.yaml", "version: 1\nrules: [{id: r, when: {text: '{{word}}'}, then: [drop]}]\n")
    second = file(tmp_path, "b.yaml", "version: 1\nvars: {word: hello}\n")
    assert World(load_rules([first, second])).hit(CLIENT, "hello")
    with pytest.raises(BadRules, match="nothing defines word"):
        load_rules([first])


def test_hundreds_of_mistakes_are_told_in_order(tmp_path: Path) -> None:
    lines = "".join(f"  - {{id: r{n}, when: {{txt: x}}, then: [drp]}}\n" for n in range(300))
    bad = file(tmp_path, "a.yaml", f"version: 1\nrules:\n{lines}")
    with pytest.raises(BadRules) as caught:
        load_rules([bad])
    problems = caught.value.problems
    assert len(problems) == 600
    assert problems == sorted(problems)
