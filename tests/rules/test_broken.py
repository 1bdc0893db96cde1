"""A folder of broken files: each mistake of each of them, with its line and column, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsinspect.errors import BadRules, Problem
from wsinspect.rules.loading import load_rules

FOLDER = Path(__file__).parent / "broken"
FILES = sorted(FOLDER.glob("*.yaml"))


def expected(file: Path) -> list[str]:
    """The lines behind `# expected:` at the file's end."""
    lines = file.read_text().partition("# expected:\n")[2].splitlines()
    return [line.removeprefix("#   ") for line in lines]


def found(file: Path) -> list[str]:
    with pytest.raises(BadRules) as caught:
        load_rules([file])
    assert caught.value.exit_code == 2
    return [str(each).removeprefix(f"{file}:").strip() for each in caught.value.problems]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_broken_file(file: Path) -> None:
    assert found(file) == expected(file)


def test_all_files_are_told_of_at_once() -> None:
    with pytest.raises(BadRules) as caught:
        load_rules([FOLDER])
    told = {each.file for each in caught.value.problems}
    assert told == {str(file) for file in FILES}
    assert str(caught.value).count("\n") + 1 == len(caught.value.problems)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_broken_file_cut_anywhere_raises_nothing_else(file: Path, tmp_path: Path) -> None:
    text = file.read_text()
    cut = tmp_path / "cut.yaml"
    for end in range(0, min(len(text), 1200), 23):
        cut.write_text(text[:end])
        assert _mistakes(cut) != []


def _mistakes(file: Path) -> list[Problem] | None:
    """None where there are none. Anything but BadRules goes through."""
    try:
        load_rules([file])
    except BadRules as error:
        return error.problems
    return None
