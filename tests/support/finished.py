"""Studies whose trials are finished by the test itself: ledger records as a run writes them, without training anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hadamard.model.trial import Trial
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.study.expansion import Plan
from tests.support.metered import metered
from tests.support.studies import entered, read

Accuracy = Callable[[Trial], float | None]
"""Test accuracy of a trial; None leaves it owed."""


def finish(ledger: Ledger, trial: Trial, accuracy: float, seconds: float = 2.0, joules: float | None = None) -> None:
    """Write what a run leaves of a trial that is done."""
    files = ledger.files(trial)
    files.append("started", host="here", pack="p")
    if joules is not None:
        metered(ledger, trial, joules)
    responses = {"test_accuracy": accuracy, "validation_accuracy": accuracy, "train_accuracy": accuracy, "test_loss": 0.5}
    files.result.write_text(json.dumps({"responses": responses, "parameters": 7}))
    files.append("done", seconds=seconds)


def fail(ledger: Ledger, trial: Trial, cause: str) -> None:
    """Write what a run leaves of a trial that failed."""
    files = ledger.files(trial)
    files.append("started", host="here", pack="p")
    files.append("failed", cause=cause, message="by the test")


def finished(directory: Path, content: str, accuracy: Accuracy, overrides: Sequence[str] = ()) -> tuple[Ledger, Plan]:
    """Return a study in `directory/run` whose trials have this test accuracy."""
    directory.mkdir(exist_ok=True)
    plan = read(directory, content, overrides)
    ledger = entered(directory / "run", plan)
    for trial in plan.trials:
        if (value := accuracy(trial)) is not None:
            finish(ledger, trial, value)
    return ledger, plan


def noise(trial: Trial, sd: float, seed: int = 0) -> float:
    """Return normal noise that belongs to the trial, whatever else there is."""
    return float(np.random.default_rng([seed, trial.split_seed, int(trial.digest, 16)]).normal(0, sd))
