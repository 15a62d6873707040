"""The line of progress, from the files of trials as they finish."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from hadamard.model.trial import Trial
from hadamard.orchestrator.execution.progress import Progress
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.study.expansion import Plan
from tests.support.studies import TINY, entered, read


def finish(ledger: Ledger, trial: Trial, validation_accuracy: float) -> None:
    files = ledger.files(trial)
    files.result.write_text(json.dumps({"responses": {"validation_accuracy": validation_accuracy}, "parameters": 1}))


def fail(ledger: Ledger, trial: Trial) -> None:
    ledger.files(trial).append("failed", cause="diverged", message="nan")


def progress(ledger: Ledger, plan: Plan, owed: Sequence[Trial]) -> Progress:
    return Progress(ledger, ledger.records(plan.trials), owed, Console(file=io.StringIO()))


def test_what_was_done_before_counts_and_what_a_budget_withholds_does_not(tmp_path: Path) -> None:
    plan = read(tmp_path)
    ledger = entered(tmp_path / "run", plan)
    first, second, third, *others = plan.trials
    finish(ledger, first, 0.75)
    fail(ledger, second)
    shown = progress(ledger, plan, [third])
    assert shown.line() == f"done 1/{len(plan.trials)} · owed 1 · failed 1 · best row so far {first.arm}, validation 75.0% over 1 splits"
    finish(ledger, third, 0.5)
    assert shown.line().startswith(f"done 2/{len(plan.trials)} · owed 0 · failed 1")
    assert others


def test_candidates_and_folds_are_not_rows_of_their_own(tmp_path: Path) -> None:
    tuned = TINY.replace("  training.lr: [0.02, 0.1]\n", "  head.encoder_layers: [1, 2]\n") + "tune: {training.lr: [0.02, 0.1]}\n"
    plan = read(tmp_path, tuned)
    ledger = entered(tmp_path / "run", plan)
    shown = progress(ledger, plan, plan.trials)
    candidate = next(trial for trial in plan.trials if trial.candidate is not None and trial.factors)
    finish(ledger, candidate, 0.9)
    assert "best row" not in shown.line(), "nothing is chosen before all candidates are done"
