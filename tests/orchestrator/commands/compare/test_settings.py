"""The settings in which two studies differ, as text by path."""

from __future__ import annotations

from pathlib import Path

from hadamard.orchestrator.commands.compare.settings import differing_settings
from hadamard.orchestrator.study.file import StudyFile
from hadamard.orchestrator.study.schema import Study
from hadamard.orchestrator.study.validation import study_of
from tests.support.studies import TINY, write_study


def study(directory: Path, content: str) -> Study:
    return study_of(StudyFile.read(write_study(directory, content)))


def differences(directory: Path, content: str) -> dict[str, tuple[str | None, str | None]]:
    pairs = differing_settings(study(directory, TINY), study(directory, content))
    return {pair.path: (pair.first, pair.second) for pair in pairs}


def test_the_name_alone_is_no_difference(tmp_path: Path) -> None:
    assert differences(tmp_path, TINY.replace("study: tiny", "study: other")) == {}


def test_a_factor_stands_in_the_place_of_its_setting(tmp_path: Path) -> None:
    other = TINY.replace("training.lr: [0.02, 0.1]", "head.layers: [1, 2]")
    assert differences(tmp_path, other) == {"head.layers": ("1", "factor: 1, 2"), "training.lr": ("factor: 0.02, 0.1", "0.05")}


def test_a_baseline_of_one_study_is_missing_in_the_other(tmp_path: Path) -> None:
    paths = differences(tmp_path, TINY.replace("[logistic]", "[{kind: logistic, tune: {head.C: [1.0, 10.0]}}, svc]"))
    assert paths["baselines.svc"][0] is None
    first, second = paths["baselines.logistic"]
    assert first
    assert second == f"{first}, tune.head.C 1.0; 10.0"
