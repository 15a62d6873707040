"""Two finished studies to compare."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.model.heads.quantum.settings import QuantumHead
from hadamard.model.trial import Trial
from hadamard.orchestrator.commands.compare.side import Side
from tests.support.finished import finished, noise
from tests.support.studies import TINY

FOUR = TINY.replace("splits: 2", "splits: 4")


def side(directory: Path, content: str, of_qubit: float = 0.02) -> Side:
    """Return a finished study in which each qubit adds `of_qubit` to the accuracy."""

    def accuracy(trial: Trial) -> float:
        head = trial.settings.head
        return 0.6 + (of_qubit * head.qubits if isinstance(head, QuantumHead) else 0.0) + noise(trial, 0.004)

    ledger, plan = finished(directory, content, accuracy)
    return Side(str(ledger.directory), plan, ledger.records(plan.trials))


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Side, Side]:
    """Two studies that share two rows and a baseline; the second has another learning rate and twice the effect of qubits."""
    other = FOUR.replace("[0.02, 0.1]", "[0.02, 0.2]").replace("[logistic]", "[logistic, svc]")
    return side(tmp_path_factory.mktemp("a"), FOUR), side(tmp_path_factory.mktemp("b"), other, of_qubit=0.04)
