"""PennyLane as it is usually called, as a peer: two QNodes with torch, the batch broadcast."""

from __future__ import annotations

from typing import Any

import pennylane as qml
import torch

from hadamard.model.circuits.circuit import Circuit
from hadamard.orchestrator.timing.paper_head import ANGLE_SCALE, Case, Step, in_parts

BACKPROP_AMPLITUDES = 2**16
"""The states of a batch that default.qubit is given at once: more of them, kept after every gate, took up to four times as long."""


def prepare(case: Case, device_name: str) -> Step:
    """Return the step: adjoint gradients on a lightning device, backpropagation on default.qubit."""
    if device_name != "default.qubit":
        return _step(case, device_name, "adjoint")
    return in_parts(case, max(1, BACKPROP_AMPLITUDES // case.states.shape[1]), lambda part: _step(part, device_name, "backprop"))


def qnode(circuit: Circuit, device_name: str, diff_method: str, from_states: bool) -> qml.QNode:
    """Return <Z> of the measured qubits as a function of two tensors, what differs from row to row and the weights.

    The first is [rows, 2**qubits] amplitudes where the circuit starts `from_states`, else [rows, circuit.inputs] angles.
    """

    def node(row: torch.Tensor, weights: torch.Tensor) -> list[Any]:
        if from_states:
            qml.StatePrep(row, wires=range(circuit.qubits))
        for gate in circuit.gates:
            if gate.angle is None:
                qml.CNOT(wires=gate.qubits)
            else:
                qml.RY((weights if gate.angle.of == "weights" else row)[..., gate.angle.column], wires=gate.qubits)
        return [qml.expval(qml.Z(qubit)) for qubit in range(circuit.measured)]

    return qml.QNode(node, qml.device(device_name, wires=circuit.qubits), interface="torch", diff_method=diff_method)


def _step(case: Case, device_name: str, diff_method: str) -> Step:
    encode = qnode(case.encoder, device_name, diff_method, from_states=True)
    classify = qnode(case.second, device_name, diff_method, from_states=False)
    states, cotangent = torch.tensor(case.states), torch.tensor(case.cotangent)

    def step() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        encoder, second = (torch.tensor(weights).requires_grad_() for weights in (case.encoder_weights, case.second_weights))
        (values,) = classify(ANGLE_SCALE * torch.stack(list(encode(states, encoder)), dim=-1), second)
        gradients = torch.autograd.grad((values * cotangent).sum(), (encoder, second))
        return values.detach(), *gradients

    return step
