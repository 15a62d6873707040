"""The content of a trial's MLflow run, from records as a ledger reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hadamard.model.trial import Trial
from hadamard.orchestrator.energy.attribution import NOT_MEASURED, StudyEnergy, TrialEnergy
from hadamard.orchestrator.ledger.ledger import Status, TrialRecord
from hadamard.orchestrator.tracking.run_content import PARAM_LENGTH, run_content
from tests.support.studies import read

STARTED = {"event": "started", "time_ms": 1000, "host": "n1", "pack": "p1"}
EPOCH = {"event": "epoch", "time_ms": 2000, "epoch": 1, "seconds": 0.5}
LOSSES = {"train_loss": 0.7, "validation_loss": 0.8, "train_accuracy": 0.5, "validation_accuracy": 0.25}
RESULT = {"responses": {"test_accuracy": 0.75, "validation_accuracy": 0.25}, "parameters": 17}


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return read(tmp_path).trials[0]


def record(trial: Trial, status: Status, *events: dict[str, Any], cause: str | None = None) -> TrialRecord:
    result = RESULT if status == "done" else None
    return TrialRecord(trial, status, cause, None, result, (STARTED, {**EPOCH, **LOSSES}, *events))


def test_a_finished_trial_has_curves_results_costs_and_an_end(trial: Trial) -> None:
    content = run_content(record(trial, "done", {"event": "done", "time_ms": 9000, "seconds": 2.0}), NOT_MEASURED, None, 9500)
    assert (content.name, content.status, content.start_ms, content.end_ms) == (trial.key, "FINISHED", 1000, 9000)
    assert sorted(content.curves) == sorted((name, value, 2000, 1) for name, value in LOSSES.items())
    finals = {name: (value, time_ms) for name, value, time_ms, _ in content.finals}
    assert finals["test_accuracy"] == (0.75, 9000)
    assert finals["parameters"] == (17.0, 9000)
    assert finals["train_s"] == (0.5, 9000)
    assert "validation_accuracy" not in finals, "it is a curve already"
    assert not {name for name in finals if name.endswith("_j")}, "what was not measured is absent"
    assert content.tags["hadamard.host"] == "n1"


def test_params_are_split_and_factors_first_then_all_settings_cut_to_what_mlflow_takes(trial: Trial) -> None:
    params = run_content(record(trial, "running"), NOT_MEASURED, None, 0).params
    assert [*params][:3] == ["split", *trial.factors]
    assert params["head.layers"] == "1"
    assert "data.path" not in params, "it may change, and MLflow forbids that"
    assert all(len(value) <= PARAM_LENGTH for value in params.values())


@pytest.mark.parametrize(
    ("status", "cause", "told", "ended"),
    [("running", None, "RUNNING", False), ("failed", "diverged", "FAILED", True), ("failed", "crashed", "FAILED", False)],
)
def test_only_a_failure_that_would_repeat_itself_is_an_end(trial: Trial, status: Status, cause: str | None, told: str, ended: bool) -> None:
    events = [] if cause is None else [{"event": "failed", "time_ms": 3000, "cause": cause}]
    content = run_content(record(trial, status, *events, cause=cause), NOT_MEASURED, None, 0)
    assert content.status == told
    assert (content.end_ms is not None) == ended
    assert content.tags["hadamard.cause"] == (cause or "")


def test_a_result_whose_end_was_not_told_ends_when_it_was_written(trial: Trial) -> None:
    assert run_content(record(trial, "done"), NOT_MEASURED, None, 9500).end_ms == 9500


def test_measured_joules_are_metrics_and_how_they_were_measured_are_tags(trial: Trial) -> None:
    energy = TrialEnergy({"training": 3.6e6}, 3e6, 0, "cpu package", "counter", 60.0)
    content = run_content(record(trial, "done"), StudyEnergy({trial.digest: energy}), 400.0, 9500)
    finals = {name: value for name, value, *_ in content.finals}
    assert (finals["energy_j"], finals["training_j"], finals["energy_kwh"], finals["co2_g"]) == (3.6e6, 3.6e6, 1.0, 400.0)
    assert content.tags["hadamard.energy_method"] == "counter"


def test_a_curve_that_an_earlier_journal_does_not_have_is_absent(trial: Trial) -> None:
    earlier = TrialRecord(trial, "running", None, None, None, (STARTED, {**EPOCH, "train_loss": 0.7}))
    assert [name for name, *_ in run_content(earlier, NOT_MEASURED, None, 0).curves] == ["train_loss"]
