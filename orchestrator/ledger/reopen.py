"""A study that has been run, from its directory alone."""

from __future__ import annotations

from pathlib import Path

from hadamard.orchestrator.design.design import build
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.study.expansion import Plan


def reopen(directory: Path) -> tuple[Ledger, Plan]:
    """Return ledger and plan of a study that has been run, from its directory alone."""
    ledger = Ledger.existing(directory)
    study = ledger.load_study()
    design = build(study.design, study.factor_list(), study.seed)
    values = {row.name: row.values for row in design.rows}
    trials = [trial.model_copy(update={"factors": values.get(trial.arm, trial.factors)}) for trial in ledger.load_trials()]
    return ledger, Plan(study, design, tuple(trials))
