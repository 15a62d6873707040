"""PennyLane devices by name, behind the same protocol as our own simulators.

Owns the translation of a circuit into a QNode. Does not own which devices a study may name.
"""

from __future__ import annotations

import functools

import pennylane as qml
import torch
from pennylane.exceptions import DeviceError

from model.circuit import Circuit
from model.errors import SettingsError
from model.simulators import ADJOINT_DEVICES


class PennyLaneSimulator:
    """Runs circuits on one PennyLane device: adjoint gradients on lightning devices, backpropagation on default.qubit."""

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

    def expectations(self, circuit: Circuit, angles: torch.Tensor, states: torch.Tensor | None = None) -> torch.Tensor:
        """Return <Z> of the measured qubits, [rows, measured]; see `model.simulators.Simulator`.

        Raises:
            SettingsError: A gradient is asked for the states, which the adjoint method does not give.
        """
        adjoint = self.device_name in ADJOINT_DEVICES
        if adjoint and states is not None and states.requires_grad:
            raise SettingsError(f"simulator {self.device_name} gives no gradient for the initial state; use torch or default.qubit")
        node = _qnode(self.device_name, circuit, states is not None, "adjoint" if adjoint else "backprop")
        # PennyLane checks norms to 1e-8 and simulates in double precision: normalise anew after the widening.
        wide = None if states is None else torch.nn.functional.normalize(states.double(), dim=1)
        values = node(angles.double(), wide)
        return torch.stack(list(values), dim=-1).to(angles.dtype)


@functools.lru_cache(maxsize=64)
def _qnode(device_name: str, circuit: Circuit, with_states: bool, diff_method: str) -> qml.QNode:
    device = qml.device(device_name, wires=circuit.qubits)

    def node(angles: torch.Tensor, states: torch.Tensor | None) -> list[qml.measurements.ExpectationMP]:
        if states is not None and with_states:
            qml.StatePrep(states, wires=range(circuit.qubits))
        for gate in circuit.gates:
            if gate.angle is None:
                qml.CNOT(wires=gate.qubits)
            else:
                qml.RY(angles[:, gate.angle], wires=gate.qubits[0])
        return [qml.expval(qml.PauliZ(qubit)) for qubit in range(circuit.measured)]

    return qml.QNode(node, device, interface="torch", diff_method=diff_method)
