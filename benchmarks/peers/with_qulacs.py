"""Qulacs as a peer: its own C++ adjoint sweep per sample, from a forward pass that is shared with the values."""

from __future__ import annotations

import os

import numpy as np

if "OMP_NUM_THREADS" in os.environ:  # qulacs asks a variable of its own
    os.environ["QULACS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"]

from qulacs import ParametricQuantumCircuit, QuantumState
from qulacs.gate import DiagonalMatrix

from benchmarks.peers.arrays import angle_columns, z_signs
from hadamard.model.circuits.circuit import Circuit
from hadamard.orchestrator.timing.paper_head import ANGLE_SCALE, Array, Case, Step


def prepare(case: Case) -> Step:
    """Return the step. Circuits are built beforehand, one encoder per sample with its amplitudes in it; a step sets their angles."""
    qubits = case.encoder.qubits
    encoders = [_circuit(case.encoder, amplitudes) for amplitudes in case.states]
    second = _circuit(case.second, None)
    columns, is_input = angle_columns(case.second)
    signs = z_signs(qubits)

    def step() -> tuple[Array, Array, Array]:
        values, encoder_gradient, second_gradient = np.empty(len(encoders)), np.zeros(case.encoder.weights), np.zeros(case.second.weights)
        for row, encoder in enumerate(encoders):
            _set(encoder, case.encoder_weights)
            state = _final_state(encoder)
            z = np.abs(state) ** 2 @ signs
            inputs = ANGLE_SCALE * z
            _set(second, np.where(is_input, inputs[np.where(is_input, columns, 0)], case.second_weights[np.where(is_input, 0, columns)]))
            last = _final_state(second)
            values[row] = np.abs(last) ** 2 @ signs[:, 0]
            angles = _gradient(second, case.cotangent[row] * signs[:, 0] * last)
            second_gradient += np.bincount(columns[~is_input], angles[~is_input], minlength=case.second.weights)
            z_cotangent = ANGLE_SCALE * np.bincount(columns[is_input], angles[is_input], minlength=qubits)
            encoder_gradient += _gradient(encoder, (signs @ z_cotangent) * state)  # every <Z_q> at once, as one observable
        return values, encoder_gradient, second_gradient

    return step


def _circuit(circuit: Circuit, amplitudes: Array | None) -> ParametricQuantumCircuit:
    """Return qulacs' circuit, all of whose rotations take a parameter each; its qubit 0 is the least significant bit."""
    theirs = ParametricQuantumCircuit(circuit.qubits)
    last = circuit.qubits - 1
    if amplitudes is not None:
        # qulacs differentiates from |0...0> only: an even superposition times a diagonal is the state that is wanted
        for qubit in range(circuit.qubits):
            theirs.add_H_gate(qubit)
        theirs.add_gate(DiagonalMatrix(list(range(circuit.qubits)), amplitudes * 2 ** (circuit.qubits / 2)))
    for gate in circuit.gates:
        if gate.name == "CNOT":
            theirs.add_CNOT_gate(last - gate.qubits[0], last - gate.qubits[1])
        else:
            theirs.add_parametric_RY_gate(last - gate.qubits[0], 0.0)
    return theirs


def _set(circuit: ParametricQuantumCircuit, angles: Array) -> None:
    for position, angle in enumerate(angles):
        circuit.set_parameter(position, -angle)  # qulacs turns the other way round


def _final_state(circuit: ParametricQuantumCircuit) -> Array:
    state = QuantumState(circuit.get_qubit_count())
    circuit.update_quantum_state(state)
    return np.asarray(state.get_vector().real)


def _gradient(circuit: ParametricQuantumCircuit, cotangent: Array) -> Array:
    """Return the gradient of an expectation by every angle, the cotangent being the observable times the final state."""
    bra = QuantumState(circuit.get_qubit_count())
    bra.load(cotangent)
    return -2 * np.array(circuit.backprop_inner_product(bra))
