"""The content of a trial's MLflow run: name, tags, params, curves, final numbers, state and end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hadamard.model.trial import Trial
from hadamard.orchestrator.energy.attribution import StudyEnergy
from hadamard.orchestrator.ledger.ledger import TrialRecord
from hadamard.orchestrator.results.tables import costs

ARM_TAG, CAUSE_TAG = "hadamard.arm", "hadamard.cause"
CURVES = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
NOT_PARAMS = ("data.path",)
"""Settings that decide no result and may change, which MLflow forbids to params."""
PARAM_LENGTH = 500

Point = tuple[str, float, int, int]
"""Name, value, time in epoch milliseconds, and epoch."""


@dataclass(frozen=True)
class RunContent:
    """The content of one trial's run.

    Attributes:
        name: The trial's key.
        tags: Without those that a run is found by.
        params: Split and factors first, then all settings by dotted path.
        curves: By epoch.
        finals: What came out and what it cost; not measured is absent.
        status: In MLflow's words.
        start_ms: Unix time.
        end_ms: None while more is to come.
    """

    name: str
    tags: dict[str, str]
    params: dict[str, str]
    curves: list[Point]
    finals: list[Point]
    status: str
    start_ms: int
    end_ms: int | None


def run_content(record: TrialRecord, energy: StudyEnergy, grid_g_per_kwh: float | None, result_ms: int) -> RunContent:
    """Return the content of the run of a trial that was ever started.

    Args:
        record: The trial.
        energy: Of its study.
        grid_g_per_kwh: Emissions of the grid, in grams of CO2; None: grams are not stated.
        result_ms: When its result was written, which is its end if it was killed between the result and the word of it.
    """
    cost = costs(record, energy, grid_g_per_kwh)
    words = {f"hadamard.{name}": value for name, value in cost.items() if isinstance(value, str)}
    curves = [
        (name, float(event[name]), event["time_ms"], event["epoch"])
        for event in record.events
        if event["event"] == "epoch"
        for name in CURVES
        if name in event
    ]
    ended_ms = max((event["time_ms"] for event in record.events if event["event"] in ("done", "failed")), default=result_ms)
    finals: dict[str, Any] = {}
    if record.result is not None:
        finals = {**record.responses, "parameters": record.result["parameters"], **cost}
    drawn = {name for name, *_ in curves}
    numbers = {name: float(value) for name, value in finals.items() if isinstance(value, int | float) and name not in drawn}
    return RunContent(
        name=record.trial.key,
        tags={ARM_TAG: record.trial.arm, CAUSE_TAG: record.cause or "", **words},
        params={name: str(value)[:PARAM_LENGTH] for name, value in _params(record.trial).items()},
        curves=curves,
        finals=[(name, value, ended_ms, 0) for name, value in numbers.items()],
        status={"done": "FINISHED", "failed": "FAILED"}.get(record.status, "RUNNING"),
        start_ms=record.events[0]["time_ms"],
        end_ms=ended_ms if record.status == "done" or (record.status == "failed" and not record.owed) else None,
    )


def _params(trial: Trial) -> dict[str, Any]:
    first = {"split": trial.split, **trial.factors}
    return {**first, **{path: value for path, value in _dotted(trial.settings.model_dump()) if path not in (*first, *NOT_PARAMS)}}


def _dotted(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
