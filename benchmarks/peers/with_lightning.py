"""Lightning devices as peers, at their fastest: tapes given straight to the device, without QNodes and without torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qml
from pennylane.devices import ExecutionConfig
from pennylane.tape import QuantumScript

from benchmarks.peers.arrays import angle_columns
from hadamard.model.circuits.circuit import Circuit
from hadamard.orchestrator.timing.paper_head import ANGLE_SCALE, Array, Case, Step


def prepare(case: Case, device_name: str) -> Step:
    """Return the step in the device's own terms: one vector-Jacobian product per tape, complex128.

    complex64, `batch_obs` and a split of the batch gave nothing or lost.
    """
    device = qml.device(device_name, wires=case.encoder.qubits)
    adjoint = ExecutionConfig(gradient_method="adjoint", use_device_gradient=True, use_device_jacobian_product=True)
    how = device.setup_execution_config(adjoint)
    preparations = [qml.StatePrep(amplitudes, wires=range(case.encoder.qubits), validate_norm=False) for amplitudes in case.states]
    columns, is_input = angle_columns(case.second)

    def step() -> tuple[Any, Any, Any]:
        shared = weight_operations(case.encoder, case.encoder_weights)  # the weights' operations serve all rows
        encoders = [tape(case.encoder, shared, [preparation]) for preparation in preparations]
        inputs = ANGLE_SCALE * np.array(device.execute(encoders, how))
        shared = weight_operations(case.second, case.second_weights)
        seconds = [tape(case.second, with_inputs(case.second, shared, row), []) for row in inputs]
        values, gradients = (np.array(part) for part in device.execute_and_compute_vjp(seconds, list(case.cotangent), how))
        second_gradient = np.bincount(columns[~is_input], gradients[:, ~is_input].sum(axis=0), minlength=case.second.weights)
        of_inputs = np.array([np.bincount(columns[is_input], row, minlength=inputs.shape[1]) for row in gradients[:, is_input]])
        rows = np.array(device.compute_vjp(encoders, [tuple(row) for row in ANGLE_SCALE * of_inputs], how))
        return values.reshape(-1), rows.sum(axis=0), second_gradient

    return step


def weight_operations(circuit: Circuit, weights: Array) -> list[Any]:
    """Return the circuit's operations, None where an input is the angle."""
    return [
        qml.CNOT(wires=gate.qubits)
        if gate.angle is None
        else (qml.RY(weights[gate.angle.column], wires=gate.qubits) if gate.angle.of == "weights" else None)
        for gate in circuit.gates
    ]


def with_inputs(circuit: Circuit, operations: list[Any], inputs: Array) -> list[Any]:
    """Return these operations with a row's inputs where they are the angles."""
    return [
        qml.RY(inputs[gate.angle.column], wires=gate.qubits) if operation is None and gate.angle is not None else operation
        for gate, operation in zip(circuit.gates, operations, strict=True)
    ]


def tape(circuit: Circuit, operations: list[Any], preparation: list[Any]) -> QuantumScript:
    """Return the circuit on a prepared state, or on |0...0>, its rotations to be differentiated."""
    script = QuantumScript([*preparation, *operations], [qml.expval(qml.Z(qubit)) for qubit in range(circuit.measured)])
    script.trainable_params = list(range(len(preparation), len(preparation) + sum(gate.angle is not None for gate in circuit.gates)))
    return script
