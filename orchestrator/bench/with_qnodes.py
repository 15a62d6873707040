"""PennyLane as it is usually called, as a peer: two QNodes with torch, the batch broadcast.

Owns the translation of a case into QNodes. Does not own the case or the clock.
"""

from __future__ import annotations

from typing import Any

import pennylane as qml
import torch

from model.circuit import Circuit
from orchestrator.bench.cases import ANGLE_SCALE, Case, Step, in_parts

BACKPROP_AMPLITUDES = 2**16
"""The states of a batch that default.qubit is given at once: more of them, kept after every gate, took up to four times as long."""


def prepare(case: Case, device_name: str) -> Step:
    """Return the step: adjoint gradients on a lightning device, backpropagation on default.qubit."""
    if device_name != "default.qubit":
        return _qnodes(case, device_name, "adjoint")
    return in_parts(case, max(1, BACKPROP_AMPLITUDES // case.states.shape[1]), lambda part: _qnodes(part, device_name, "backprop"))


def _qnodes(case: Case, device_name: str, method: str) -> Step:
    qubits = case.encoder.qubits
    device = qml.device(device_name, wires=qubits)
    states, cotangent = torch.tensor(case.states), torch.tensor(case.cotangent)

    def encoder(weights: torch.Tensor) -> list[Any]:
        qml.StatePrep(states, wires=range(qubits))
        apply_gates(case.encoder, weights, None)
        return [qml.expval(qml.Z(qubit)) for qubit in range(qubits)]

    def second(weights: torch.Tensor, inputs: torch.Tensor) -> Any:
        apply_gates(case.second, weights, inputs)
        return qml.expval(qml.Z(0))

    encoder_node, second_node = (qml.QNode(part, device, interface="torch", diff_method=method) for part in (encoder, second))

    def step() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        leaves = [torch.tensor(weights).requires_grad_() for weights in (case.encoder_weights, case.second_weights)]
        values = second_node(leaves[1], ANGLE_SCALE * torch.stack(list(encoder_node(leaves[0])), dim=-1)).reshape(-1)
        (values * cotangent).sum().backward()
        assert leaves[0].grad is not None
        assert leaves[1].grad is not None
        return values.detach(), leaves[0].grad, leaves[1].grad

    return step


def apply_gates(circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None) -> None:
    """Put the circuit into the open QNode; angles are the last axis of weights and inputs."""
    for gate in circuit.gates:
        if gate.angle is None:
            qml.CNOT(wires=gate.qubits)
        else:
            angles = weights if gate.angle.of == "weights" else inputs
            assert angles is not None, "the circuit takes inputs"
            qml.RY(angles[..., gate.angle.column], wires=gate.qubits)
