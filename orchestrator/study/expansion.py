"""The plan of a study: its design and trials, made from a study file before anything runs.

Packs and costs are in `orchestrator/planning/`, the text of `hadamard plan` is in `orchestrator/commands/plan.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hadamard.model.trial import Trial
from hadamard.orchestrator.design.base import DesignError
from hadamard.orchestrator.design.design import Design, build
from hadamard.orchestrator.design.power import splits_needed
from hadamard.orchestrator.study.file import Problem, StudyError, StudyFile
from hadamard.orchestrator.study.schema import Study
from hadamard.orchestrator.study.trials import trials_of
from hadamard.orchestrator.study.validation import study_of


@dataclass(frozen=True)
class Plan:
    """A study, ready to run."""

    study: Study
    design: Design
    trials: tuple[Trial, ...]


def read_plan(path: Path, overrides: Sequence[str]) -> Plan:
    """Return the plan of a study file.

    Args:
        path: The YAML file.
        overrides: `a.b=value` strings, applied before anything is checked.

    Raises:
        StudyError: The study is not valid, its design cannot be made, or rows cannot be run; every problem with file:line.
        DataError, SentenceEncoderError: The corpus or the sentence encoder is not there.
    """
    file = StudyFile.read(path, overrides)
    try:
        return make_plan(study_of(file))
    except StudyError as error:
        raise error.located(file) from error


def make_plan(study: Study) -> Plan:
    """Return the plan of a study; raises what `read_plan` does, without lines."""
    try:
        design = build(study.design, study.factor_list(), study.seed)
    except DesignError as error:
        raise StudyError([Problem(str(error), ("design",))]) from error
    _check_power(study, design)
    return Plan(study, design, trials_of(study, design))


def _check_power(study: Study, design: Design) -> None:
    """Raise a StudyError if the study has too few splits for the effect that it is to find."""
    if (target := study.power) is None:
        return
    needed = splits_needed(design, target.sd, target.effect, target.power)
    if needed is None or needed > study.design.splits:
        enough = "no number of splits would" if needed is None else f"it takes at least design.splits: {needed}"
        reason = (
            f"design.splits = {study.design.splits} do not find an effect of {100 * target.effect:g} points with power {target.power:g} "
            f"where one trial's standard deviation within its split is {100 * target.sd:g} points: {enough}. "
            "Take more splits or rows, or set a larger power.effect"
        )
        raise StudyError([Problem(reason, ("power",))])
