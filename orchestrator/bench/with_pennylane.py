"""PennyLane's devices as peers: tapes given straight to a lightning device, and QNodes as PennyLane is usually called.

Owns the translation of a case into tapes and QNodes. Does not own the case or the clock.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qml
import torch
from pennylane.devices import ExecutionConfig
from pennylane.tape import QuantumScript

from model.circuit import Circuit
from orchestrator.bench.cases import ANGLE_SCALE, Array, Case, Step, in_parts

BACKPROP_AMPLITUDES = 2**16


def prepare_tapes(case: Case, device_name: str) -> Step:
    """Return the step in the device's own terms, the fastest found: no QNode, one vector-Jacobian product per tape, complex128.

    complex64, `batch_obs` and a split of the batch gave nothing or lost.
    """
    device = qml.device(device_name, wires=case.encoder.qubits)
    how = ExecutionConfig(gradient_method="adjoint", use_device_gradient=True, use_device_jacobian_product=True)
    if hasattr(device, "setup_execution_config"):
        how = device.setup_execution_config(how)
    preparations = [qml.StatePrep(amplitudes, wires=range(case.encoder.qubits), validate_norm=False) for amplitudes in case.states]
    angles = [gate.angle for gate in case.second.gates if gate.angle is not None]
    columns, is_input = np.array([angle.column for angle in angles]), np.array([angle.of == "inputs" for angle in angles])

    def step() -> tuple[Any, Any, Any]:
        shared = _operations(case.encoder, case.encoder_weights)  # the weights' operations serve all rows
        encoders = [_tape(case.encoder, shared, [preparation]) for preparation in preparations]
        inputs = ANGLE_SCALE * np.array(device.execute(encoders, how))
        shared = _operations(case.second, case.second_weights)
        seconds = [_tape(case.second, _with_inputs(case.second, shared, row), []) for row in inputs]
        values, gradients = (np.array(part) for part in device.execute_and_compute_vjp(seconds, list(case.cotangent), how))
        second_gradient = np.bincount(columns[~is_input], gradients[:, ~is_input].sum(axis=0), minlength=case.second.weights)
        of_inputs = np.array([np.bincount(columns[is_input], row, minlength=inputs.shape[1]) for row in gradients[:, is_input]])
        rows = np.array(device.compute_vjp(encoders, [tuple(row) for row in ANGLE_SCALE * of_inputs], how))
        return values.reshape(-1), rows.sum(axis=0), second_gradient

    return step


def prepare_qnodes(case: Case, device_name: str) -> Step:
    """Return the step as a user of PennyLane writes it: two QNodes with torch, the batch broadcast.

    Backpropagation keeps the states after every gate: the batch is split where they would not fit some hundred MiB.
    """
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


def _operations(circuit: Circuit, weights: Array) -> list[Any]:
    """Return the circuit's operations, None where an input is the angle."""
    return [
        qml.CNOT(wires=gate.qubits)
        if gate.angle is None
        else (qml.RY(weights[gate.angle.column], wires=gate.qubits) if gate.angle.of == "weights" else None)
        for gate in circuit.gates
    ]


def _with_inputs(circuit: Circuit, operations: list[Any], inputs: Array) -> list[Any]:
    return [
        qml.RY(inputs[gate.angle.column], wires=gate.qubits) if operation is None and gate.angle is not None else operation
        for gate, operation in zip(circuit.gates, operations, strict=True)
    ]


def _tape(circuit: Circuit, operations: list[Any], preparation: list[Any]) -> QuantumScript:
    tape = QuantumScript([*preparation, *operations], [qml.expval(qml.Z(qubit)) for qubit in range(circuit.measured)])
    tape.trainable_params = list(range(len(preparation), len(preparation) + sum(gate.angle is not None for gate in circuit.gates)))
    return tape
