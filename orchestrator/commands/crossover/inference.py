"""The forward pass of the paper's head, of its second module alone, and of a classical head, ready to be timed.

Owns how each simulator is asked for it. Does not own the circuits (orchestrator/commands/bench/cases.py), the simulators or the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from hadamard.orchestrator.commands.bench.cases import ANGLE_SCALE, Array, Case

Pass: TypeAlias = Callable[[], Any]
"""Computes a batch once and returns its values [rows], in any array type."""
DIMENSION, SENTENCES = 768, 435
"""Of an embedding, and those that the classical head is fitted on (paper.md, "Data and protocol")."""


@dataclass(frozen=True)
class Passes:
    """Inference of one batch.

    Attributes:
        head: Embeddings are loaded as amplitudes, the encoder's <Z_q> become the angles of the second module, and its <Z_0> is returned.
        second_module: That module alone, what a QPU would run, on angles computed before.
    """

    head: Pass
    second_module: Pass


def prepare(name: str, case: Case) -> Passes:
    """Return the passes of a simulator, as `hadamard bench` names it; a kernel that is compiled when first run has been.

    Raises:
        SettingsError: It cannot be had here.
    """
    return _by_lightning(case, name) if name.startswith("lightning.") else _by_ours(case, name)


def logistic(rows: int) -> Pass:
    """Return the prediction of so many sentences' classes by a logistic regression, as model/heads/logistic.py fits it.

    Only the product and the sign: checking its input takes scikit-learn ten times as long.
    """
    from hadamard.model.heads.logistic import LogisticHead

    generator = np.random.default_rng(rows)
    embeddings = generator.standard_normal((SENTENCES, DIMENSION), dtype=np.float32)
    fitted: Any = LogisticHead(kind="logistic").fit(embeddings, (embeddings[:, 0] > 0).astype(np.int64), seed=0)
    weights, bias = (np.asarray(part, dtype=np.float32) for part in (fitted.classifier.coef_[0], fitted.classifier.intercept_[0]))
    batch = embeddings[:rows]
    return lambda: batch @ weights + bias > 0


def _by_ours(case: Case, name: str) -> Passes:
    import torch

    from hadamard.model.simulators.registry import open_simulator

    simulator = open_simulator(name)
    states, encoder, second = (
        torch.tensor(part, dtype=torch.float32, device=simulator.device)[None]
        for part in (case.states, case.encoder_weights, case.second_weights)
    )

    @torch.no_grad()
    def encoded() -> torch.Tensor:
        return ANGLE_SCALE * simulator.expectations(case.encoder, encoder, states=states)

    @torch.no_grad()
    def values(inputs: torch.Tensor) -> torch.Tensor:
        return simulator.expectations(case.second, second, inputs).cpu().flatten()

    inputs = encoded()
    if simulator.device.type != "cpu":
        values(inputs)
    return Passes(lambda: values(encoded()), lambda: values(inputs))


def _by_lightning(case: Case, name: str) -> Passes:
    """Tapes given straight to the device: the operations of the weights serve all rows."""
    import pennylane as qml
    from pennylane.devices import ExecutionConfig

    from hadamard.orchestrator.commands.bench.with_lightning import tape, weight_operations, with_inputs

    device = qml.device(name, wires=case.encoder.qubits)
    how = device.setup_execution_config(ExecutionConfig())
    preparations = [qml.StatePrep(amplitudes, wires=range(case.encoder.qubits), validate_norm=False) for amplitudes in case.states]

    def encoded() -> Array:
        operations = weight_operations(case.encoder, case.encoder_weights)
        return ANGLE_SCALE * np.array(device.execute([tape(case.encoder, operations, [one]) for one in preparations], how))

    def values(inputs: Array) -> Array:
        operations = weight_operations(case.second, case.second_weights)
        tapes = [tape(case.second, with_inputs(case.second, operations, row), []) for row in inputs]
        return np.array(device.execute(tapes, how)).reshape(-1)

    inputs = encoded()
    return Passes(lambda: values(encoded()), lambda: values(inputs))
