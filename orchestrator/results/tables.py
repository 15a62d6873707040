"""The ledger's records as tables: results, costs and learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hadamard.model.files.correct_bits import CorrectBits, from_text
from hadamard.model.heads.base import ClosedFormHead
from hadamard.orchestrator.energy.attribution import ALL_PHASES, NOT_MEASURED, StudyEnergy, TrialEnergy
from hadamard.orchestrator.ledger.ledger import TrialRecord
from hadamard.orchestrator.results.selection import Choice, choices
from hadamard.orchestrator.study.budget import JOULES
from hadamard.orchestrator.study.expansion import Plan

GUESSING = 0.5
"""Accuracy of guessing between two classes that are equally frequent."""
ENERGIES = (
    "energy_j", "net_energy_j", *(f"{phase}_j" for phase in ALL_PHASES), "inference_j_per_sentence", "j_per_point", "energy_kwh", "co2_g",
)  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """A failed trial."""

    key: str
    cause: str | None
    message: str | None


RESPONSES = ("test_accuracy", "validation_accuracy", "train_accuracy", "test_loss", "cv_accuracy")


def results_table(plan: Plan, records: Sequence[TrialRecord]) -> pd.DataFrame:
    """Return one line per arm and split, sorted by key: row, status, cause, responses, parameters, and a column per factor by its path.

    Where an arm has candidates, the line is that of the one chosen inside the drawn sentences, with its number as `candidate`, and
    `cv_accuracy` is what it was chosen by. A trial that runs now counts as owed; responses of trials that are not done are missing, and so
    are row and factors of baselines. Equal records in any order give equal tables, down to the types of empty columns.
    """
    rows = {row.name: row.index for row in plan.design.rows}
    paths = [factor.path for factor in plan.design.factors]
    lines = [_line(choice, rows.get(choice.record.trial.arm)) for choice in choices(records)]
    columns = ["key", "arm", "row", "split", "candidate", "status", "cause", *RESPONSES, "parameters", *paths]
    table = pd.DataFrame(lines, columns=columns, dtype=object)
    for path in paths:
        typed = table[path].convert_dtypes()
        # Levels such as `pi` and 1.0 have no type in common.
        table[path] = table[path].map(str, na_action="ignore").astype("string") if typed.dtype == object else typed
    texts = dict.fromkeys(("key", "arm", "status", "cause"), "string")
    types = {**texts, **dict.fromkeys(("row", "split", "candidate", "parameters"), "Int64"), **dict.fromkeys(RESPONSES, float)}
    return table.astype(types).sort_values("key", ignore_index=True)


def costs_table(records: Sequence[TrialRecord], energy: StudyEnergy = NOT_MEASURED, grid_g_per_kwh: float | None = None) -> pd.DataFrame:
    """Return one line per trial, sorted by key: attempts, seconds, joules with scope, method and window. Missing means not measured."""
    table = pd.DataFrame([{"key": record.trial.key, **costs(record, energy, grid_g_per_kwh)} for record in records])
    numbers = dict.fromkeys(("train_s", *ENERGIES, "energy_window_s"), float)
    return table.astype(numbers).sort_values("key", ignore_index=True)


def costs(record: TrialRecord, energy: StudyEnergy = NOT_MEASURED, grid_g_per_kwh: float | None = None) -> dict[str, Any]:
    """Return what a trial cost: attempts, seconds of training and evaluation, and joules where they were measured (else None).

    Joules are gross, of all its attempts and phases (`energy_j`), by phase, and without the idle nodes' (`net_energy_j`); for each sentence
    classified; for each point of accuracy beyond guessing; and as kilowatt-hours and grams of CO2. `energy_window_s` is the length of
    the meters' window, which the trial may have shared with others of its pack.

    Args:
        record: The trial.
        energy: Its study's.
        grid_g_per_kwh: What the grid emits; None: grams are not stated.
    """
    seconds = [event["seconds"] for event in record.events if event["event"] in ("epoch", "evaluated")]
    whole = [event["seconds"] for event in record.events if event["event"] == "done"]
    started = next((event for event in reversed(record.events) if event["event"] == "started"), {})
    return {
        "attempts": record.attempts,
        "train_s": sum(seconds) if seconds else whole[-1] if whole else None,
        **_joules(energy.trials.get(record.trial.digest), record.responses.get("test_accuracy"), grid_g_per_kwh),
        "host": started.get("host"),
        "pack": started.get("pack"),
    }


def _joules(energy: TrialEnergy | None, accuracy: float | None, grid_g_per_kwh: float | None) -> dict[str, Any]:
    """Return a trial's energy by the names of its columns."""
    if energy is None:
        return dict.fromkeys((*ENERGIES, "energy_scope", "energy_method", "energy_window_s"))
    joules = energy.energy_j
    kwh = None if joules is None else joules / JOULES["kWh"]
    points = None if accuracy is None else 100 * (accuracy - GUESSING)
    numbers = {
        "energy_j": joules,
        "net_energy_j": energy.net_j,
        **{f"{phase}_j": energy.phases_j.get(phase) for phase in ALL_PHASES},
        "inference_j_per_sentence": energy.inference_j,
        "j_per_point": joules / points if joules is not None and points is not None and points > 0 else None,
        "energy_kwh": kwh,
        "co2_g": None if kwh is None or grid_g_per_kwh is None else kwh * grid_g_per_kwh,
    }
    return {**numbers, "energy_scope": energy.scope, "energy_method": energy.method, "energy_window_s": energy.window_s}


def curves(records: Sequence[TrialRecord]) -> dict[str, list[dict[str, Any]]]:
    """Return the journal's epochs by trial key, of the trials that stand for an arm on a split and whose head is trained by gradient."""
    return {
        choice.record.trial.key: [event for event in choice.record.events if event["event"] == "epoch"]
        for choice in choices(records)
        if choice.status == "done" and not isinstance(choice.record.trial.settings.head, ClosedFormHead)
    }


def right_sentences(records: Sequence[TrialRecord]) -> dict[str, CorrectBits]:
    """Return by trial key which test sentences the trial classified right, of the trials whose results say so."""
    written = {record.trial.key: (record.result or {}).get("test_right") for record in records}
    return {key: from_text(text) for key, text in written.items() if text}


def failures(records: Sequence[TrialRecord]) -> tuple[Failure, ...]:
    """Return the failed trials of these, in their order."""
    return tuple(Failure(record.trial.key, record.cause, record.message) for record in records if record.status == "failed")


def failure_lines(failed: Sequence[Failure]) -> list[str]:
    """Return a line per cause and message of failure, with the trials it took."""
    groups: dict[str, list[str]] = {}
    for failure in failed:
        message = (failure.message or "").strip().partition("\n")[0][:300]
        groups.setdefault(f"{failure.cause}: {message}", []).append(failure.key)
    return [f"failed {', '.join(keys[:3])}{f' and {len(keys) - 3} more' if len(keys) > 3 else ''}: {why}" for why, keys in groups.items()]


def _line(choice: Choice, row: int | None) -> dict[str, Any]:
    record, trial = choice.record, choice.record.trial
    responses = {**record.responses, "cv_accuracy": choice.cv_accuracy} if choice.status == "done" else {}
    return {
        "key": trial.key,
        "arm": trial.arm,
        "row": row,
        "split": trial.split,
        "candidate": trial.candidate,
        "status": choice.status,
        "cause": record.cause if choice.status == "failed" else None,
        **{name: responses.get(name) for name in RESPONSES},
        "parameters": record.result["parameters"] if record.result else None,
        **trial.factors,
    }
