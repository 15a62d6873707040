"""PennyLane devices by name, behind the same protocol as our own simulators.

Owns the translation of a circuit into a QNode. Does not own which devices a study may name.
"""

from __future__ import annotations

import functools

import numpy as np
import pennylane as qml
import torch
from pennylane.exceptions import DeviceError

from model.circuit import Circuit, Gate
from model.errors import SettingsError
from model.simulators import ADJOINT_DEVICES
from model.simulators.state_vector import batch_shape, padded

PAULI_NAMES = {"X": "PauliX", "Y": "PauliY", "Z": "PauliZ", "H": "Hadamard"}


class PennyLaneSimulator:
    """Runs circuits on one PennyLane device: adjoint gradients on lightning devices, backpropagation on default.qubit."""

    device = torch.device("cpu")

    def __init__(self, device_name: str) -> None:
        """Open the device once, so that what is missing is found now and not in the first batch.

        Raises:
            SettingsError: The device is not installed, or its compiled part is missing.
        """
        self.device_name = device_name
        try:
            qml.device(device_name, wires=1)
        except (DeviceError, ImportError, NameError) as error:  # which of them depends on what exactly is missing
            raise SettingsError(f"simulator {device_name} cannot be opened here: {error} `simulator: auto` needs nothing more") from error

    def expectations(
        self, circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None = None, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return <Z> of the measured qubits, [trials, rows, measured]; see `model.simulators.Simulator`.

        Raises:
            SettingsError: A gradient is asked for the states, which the adjoint method does not give.
        """
        adjoint = self.device_name in ADJOINT_DEVICES
        if adjoint and states is not None and states.requires_grad:
            raise SettingsError(f"simulator {self.device_name} gives no gradient for the initial state; use torch or default.qubit")
        node = _qnode(self.device_name, circuit, states is not None, "adjoint" if adjoint else "backprop")
        states = padded(states, circuit.qubits)
        trials, rows = batch_shape(circuit, weights, inputs, states)
        # One broadcast dimension is all that PennyLane has: every row of every trial becomes one of its own.
        wide_weights = weights.double()[:, None].expand(-1, rows, -1).reshape(trials * rows, -1)
        wide_inputs = None if inputs is None else inputs.double().reshape(trials * rows, -1)
        # PennyLane checks norms to 1e-8 and simulates in double precision: normalise anew after the widening.
        wide_states = None if states is None else torch.nn.functional.normalize(states.double().reshape(trials * rows, -1), dim=1)
        values = torch.stack(list(node(wide_weights, wide_inputs, wide_states)), dim=-1)
        return values.reshape(trials, rows, circuit.measured).to(weights.dtype)


@functools.lru_cache(maxsize=64)
def _qnode(device_name: str, circuit: Circuit, with_states: bool, diff_method: str) -> qml.QNode:
    device = qml.device(device_name, wires=circuit.qubits)

    def node(weights: torch.Tensor, inputs: torch.Tensor | None, states: torch.Tensor | None) -> list[qml.measurements.ExpectationMP]:
        if with_states:
            qml.StatePrep(states, wires=range(circuit.qubits))
        for gate in circuit.gates:
            _apply(gate, weights, inputs)
        return [qml.expval(qml.PauliZ(qubit)) for qubit in range(circuit.measured)]

    return qml.QNode(node, device, interface="torch", diff_method=diff_method)


def _apply(gate: Gate, weights: torch.Tensor, inputs: torch.Tensor | None) -> None:
    if gate.name == "unitary":
        qml.QubitUnitary(np.array(gate.matrix), wires=gate.qubits)
        return
    operation = getattr(qml, PAULI_NAMES.get(gate.name, gate.name))
    if gate.angle is None:
        operation(wires=gate.qubits)
        return
    angles = weights if gate.angle.of == "weights" else inputs
    assert angles is not None, "the circuit takes inputs"
    operation(angles[:, gate.angle.column], wires=gate.qubits)
