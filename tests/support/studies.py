"""Small studies that the tests run for real: real sentences, the real sentence encoder, real circuits, few of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.study.expansion import Plan, read_plan

TINY = """\
study: tiny
seed: 5
data: {name: reviews, sentences: 300, train_per_class: 16}
head: {kind: quantum, qubits: 3, reduction: pca, encoder_layers: 1, reuploads: 1, layers: 1}
training: {epochs: 3, batch: 8, lr: 0.05}
factors:
  head.qubits: [2, 3]
  training.lr: [0.02, 0.1]
design: {kind: full_factorial, splits: 2}
baselines: [logistic]
"""


def write_study(directory: Path, content: str = TINY) -> Path:
    """Write a study file and return its path."""
    path = directory / "study.yaml"
    path.write_text(content)
    return path


def read(directory: Path, content: str = TINY, overrides: Sequence[str] = ()) -> Plan:
    """Write a study file and return its plan."""
    return read_plan(write_study(directory, content), overrides)


def entered(directory: Path, plan: Plan, study_id: str = "study-1", name: str | None = None) -> Ledger:
    """Return a ledger in which the plan's trials are entered, under another study's name if one is given."""
    ledger = Ledger(directory)
    study = plan.study.model_copy(update={"study": name or plan.study.study})
    with ledger.owned():
        ledger.enter(plan.trials)
        ledger.save_study(study, plan.trials, {"study_id": study_id, "shown": {}})
    return ledger
