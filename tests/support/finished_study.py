"""Finished studies of many trials to send to MLflow: curves, costs and joules as a run leaves them, in numbers that a test can foretell."""

from __future__ import annotations

import json
from pathlib import Path

from hadamard.model.trial import Trial
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.study.expansion import Plan
from tests.support.metered import launch, node
from tests.support.studies import TINY, entered, read

EPOCHS, ARMS = 12, 5
WATTS = 60.0
ROWS = 4 * EPOCHS + 5
"""Metric rows of a trial without joules: curves, and what came out, parameters, attempts and seconds."""


def finished_study(directory: Path, trials: int) -> tuple[Ledger, Plan]:
    """Return a study in `directory/run` of finished trials, whose number is a multiple of 5; without joules."""
    directory.mkdir(exist_ok=True)
    plan = read(directory, TINY.replace("splits: 2", f"splits: {trials // ARMS}"))
    ledger = entered(directory / "run", plan)
    for number, trial in enumerate(plan.trials):
        finish(ledger, trial, number)
    return ledger, plan


def finish(ledger: Ledger, trial: Trial, number: int) -> None:
    """Write what a run leaves of a trial that is done."""
    files, began_ms = ledger.files(trial), 1_790_000_000_000 + 10_000 * number
    curve = [
        {
            "event": "epoch", "time_ms": began_ms + 100 * epoch, "epoch": epoch, "seconds": seconds(number) / EPOCHS,
            "train_loss": 1 / epoch, "validation_loss": 2 / epoch, "train_accuracy": 1 - 0.5 / epoch, "validation_accuracy": 0.5,
        }
        for epoch in range(1, EPOCHS + 1)
    ]  # fmt: skip
    started = {"event": "started", "time_ms": began_ms, "host": "here", "pack": "p"}
    done = {"event": "done", "time_ms": began_ms + 9000, "seconds": seconds(number)}
    files.journal.write_text("".join(json.dumps(event) + "\n" for event in (started, *curve, done)))
    files.result.write_text(
        json.dumps({"responses": {"test_accuracy": accuracy(number), "test_loss": 0.5}, "parameters": parameters(number)})
    )


def accuracy(number: int) -> float:
    """Return a test accuracy that no other of 300 trials has."""
    return round(0.6 + 0.001 * (number * 7 % 300), 3)


def seconds(number: int) -> float:
    """Return a time of training, a whole number of epochs' quarters of a second."""
    return EPOCHS * (0.25 + 0.25 * (number % 8))


def parameters(number: int) -> int:
    """Return how many parameters a head has, which no other has."""
    return 20 + number


def joules(number: int) -> float:
    """Return what `meter` has the trial take."""
    return WATTS * (1 + number % 16)


def meter(ledger: Ledger, plan: Plan) -> None:
    """Write what meters and workers leave of a run in which each trial was a pack, one after the other."""
    begin_s = 0.0
    for number, trial in enumerate(plan.trials):
        end_s = begin_s + joules(number) / WATTS
        launch(ledger, f"p-{trial.digest}", begin_s, end_s, [(begin_s, "training", [trial.key], 0)], hosts=("here",))
        begin_s = end_s
    node(ledger, "here", until_s=begin_s + 5, watts=WATTS)
