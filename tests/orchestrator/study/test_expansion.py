"""The plan of a study: its design and trials, and the refusals that only the two together show."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.orchestrator.study.file import StudyError
from tests.support.studies import TINY, read

POWER = TINY + "power: {effect: 0.02, sd: 0.01}\n"


def test_a_plan_is_the_study_its_rows_and_their_trials(tmp_path: Path) -> None:
    plan = read(tmp_path)
    assert (plan.study.study, plan.design.kind, len(plan.design.rows)) == ("tiny", "full_factorial", 4)
    assert {trial.arm for trial in plan.trials} == {*(row.name for row in plan.design.rows), "logistic"}


def test_a_design_that_cannot_be_made_is_a_problem_of_its_line(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"study\.yaml:9: design: latin_hypercube has 2 rows, but the mean and the main effects"):
        read(tmp_path, TINY.replace("kind: full_factorial", "kind: latin_hypercube, rows: 2"))


def test_too_few_splits_for_the_effect_are_refused_with_those_that_would_do(tmp_path: Path) -> None:
    with pytest.raises(
        StudyError, match=r"study\.yaml:11: power: design\.splits = 2 do not find .*takes at least design\.splits: \d+\."
    ) as error:
        read(tmp_path, POWER)
    needed = int(str(error.value).partition("design.splits: ")[2].partition(".")[0])
    assert read(tmp_path, POWER, [f"design.splits={needed}"]).study.design.splits == needed
    with pytest.raises(StudyError, match=f"design.splits: {needed}"):
        read(tmp_path, POWER, [f"design.splits={needed - 1}"])
    with pytest.raises(StudyError, match="no number of splits would"):
        read(tmp_path, POWER, ["power.effect=1e-6"])
