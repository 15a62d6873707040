"""What a trial is expected to need: seconds and memory, from its circuit and from rates measured once.

Owns the rates and where they were measured. Does not own budgets, nor what a run really took: that is in the journals.
"""

from __future__ import annotations

import math

from model.head_layout import circuits
from model.settings import EVALUATION_ROWS, LogisticHead, MlpHead, QuantumHead, SvcHead, Trial

SECONDS_PER_GATE = 90e-6
"""Forward and gradient of one gate on a small batch, torch simulator, one core of a 2.3 GHz server (measured 2026-11)."""
SECONDS_PER_GATE_AMPLITUDE = 5e-9
"""The same per amplitude of the batch."""
FORWARD_SHARE = 0.35
"""Part of forward plus gradient that the forward pass alone takes."""
PACK_START_S = 6.0
"""From launch to first epoch: interpreter, torch, scikit-learn, corpus."""
CLASSICAL_S = 1.0
"""Fit and evaluation of a classical head: seconds at most."""
SENTENCES_PER_CORE_S = 110.0
"""Embeddings per second and core by all-MiniLM-L6-v2; a larger encoder takes longer, all-mpnet about six times."""
PROCESS_BYTES = 700 * 2**20
"""A training process before its first state: torch, scikit-learn, and the corpus."""


def gates(head: QuantumHead) -> int:
    """Return the gates that one sentence passes: E encoders and the second module."""
    encoder, second = circuits(head)
    return head.encoders * len(encoder.gates) + len(second.gates)


def trial_seconds(trial: Trial, sentences: int) -> float | None:
    """Return the expected seconds of one trial on one core; None for simulators whose rate was never measured.

    Args:
        trial: The trial.
        sentences: Size of the corpus, all of which is evaluated at the end.
    """
    head, training, data = trial.settings.head, trial.settings.training, trial.settings.data
    if isinstance(head, LogisticHead | SvcHead | MlpHead):
        return CLASSICAL_S
    if trial.settings.simulator != "torch":
        return None
    train, validation = data.sides
    steps = training.epochs * math.ceil(train / training.batch)
    looked_at = sentences + training.epochs * validation
    return steps * _pass_seconds(head, training.batch) + math.ceil(looked_at / EVALUATION_ROWS) * FORWARD_SHARE * _pass_seconds(
        head, EVALUATION_ROWS
    )


def trial_bytes(trial: Trial) -> int:
    """Return the memory one trial needs: the process and, for a quantum head, a batch's states after every gate, kept for the gradient."""
    head = trial.settings.head
    if not isinstance(head, QuantumHead):
        return PROCESS_BYTES
    amplitude_bytes = 4 if trial.settings.simulator == "torch" else 16
    state_bytes: int = amplitude_bytes * 2 ** max(circuit.qubits for circuit in circuits(head))
    kept = gates(head) if trial.settings.simulator in ("torch", "default.qubit") else 3
    return PROCESS_BYTES + state_bytes * max(kept * trial.settings.training.batch, 4 * EVALUATION_ROWS)


def _pass_seconds(head: QuantumHead, rows: int) -> float:
    seconds: float = sum(
        copies * len(circuit.gates) * (SECONDS_PER_GATE + SECONDS_PER_GATE_AMPLITUDE * rows * 2**circuit.qubits)
        for copies, circuit in zip((head.encoders, 1), circuits(head), strict=True)
    )
    return seconds
