"""PennyLane devices by name, behind the same protocol as our own simulators.

The translation of a circuit into a QNode; what MPI asks of devices is in mpi_checks.py.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pennylane as qml
import torch
from pennylane.exceptions import DeviceError

from hadamard.model.circuits.circuit import Circuit, Gate
from hadamard.model.errors import SettingsError
from hadamard.model.simulators.pennylane.mpi_checks import Together, asked_buffer_mib, check, look, mpi_arguments
from hadamard.model.simulators.reference import batch_shape, padded
from hadamard.model.simulators.registry import kind_of

PAULI_NAMES = {"X": "PauliX", "Y": "PauliY", "Z": "PauliZ", "H": "Hadamard"}


class PennyLaneSimulator:
    """Runs circuits on one PennyLane device: adjoint gradients on lightning devices, backpropagation on default.qubit.

    Several ranks that share its states each have one of these, call it with the same arguments, and each get all values and gradients.
    """

    device = torch.device("cpu")

    def __init__(self, device_name: str, together: Together | None = None) -> None:
        """Open the device once, so that what is missing is found now and not in the first batch.

        With ranks it is opened by the first call, in which all take part: each waits for the others while it is.

        Raises:
            SettingsError: The device is not installed, its compiled part or a GPU is missing, or it cannot be shared by these ranks.
        """
        self.device_name, self.together = device_name, together
        self.description = f"PennyLane {qml.version()}, on cpu"
        if together is not None:
            check(device_name, together, look(device_name))
            self.buffer_mib = asked_buffer_mib()
            return
        try:
            qml.device(device_name, wires=1)
        except (DeviceError, ImportError, NameError, ValueError) as error:  # which of them depends on what exactly is missing
            raise SettingsError(f"simulator {device_name} cannot be opened here: {error} `simulator: auto` needs nothing more") from error

    def expectations(
        self, circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None = None, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return <Z> of the measured qubits, [trials, rows, measured]; see `base.Simulator`.

        Raises:
            SettingsError: A gradient is asked for the states, which the adjoint method does not give, or ranks cannot share the states.
        """
        adjoint = not kind_of(self.device_name).state_gradient
        if adjoint and states is not None and states.requires_grad:
            raise SettingsError(
                f"simulator {self.device_name} gives no gradient for the initial state; `simulator: auto` takes one that does"
            )
        arguments = {"wires": circuit.qubits}
        if self.together is not None:
            arguments = mpi_arguments(self.device_name, circuit.qubits, self.together, self.buffer_mib)
        device = _device(self.device_name, **arguments)
        node = _qnode(device, circuit, states is not None, "adjoint" if adjoint else "backprop")
        states = padded(states, circuit.qubits)
        trials, rows = batch_shape(circuit, weights, inputs, states)
        # One broadcast dimension is all that PennyLane has: every row of every trial becomes one of its own.
        wide_weights = weights.double()[:, None].expand(-1, rows, -1).reshape(trials * rows, -1)
        wide_inputs = None if inputs is None else inputs.double().reshape(trials * rows, -1)
        # PennyLane checks norms to 1e-8 and simulates in double precision: normalise anew after the widening.
        wide_states = None if states is None else torch.nn.functional.normalize(states.double().reshape(trials * rows, -1), dim=1)
        wide = [wide_weights, wide_inputs, wide_states]
        if not torch.is_grad_enabled():  # views of leaves ask for a gradient even so, which the device would compute with the values
            wide = [None if tensor is None else tensor.detach() for tensor in wide]
        values = torch.stack(list(node(*wide)), dim=-1)
        return values.reshape(trials, rows, circuit.measured).to(weights.dtype)


@functools.lru_cache(maxsize=4)
def _device(name: str, **arguments: Any) -> qml.devices.Device:
    """Open a device; all circuits of a size share one, since with MPI it holds a shard as long as it lives."""
    return qml.device(name, **arguments)


@functools.lru_cache(maxsize=64)
def _qnode(device: qml.devices.Device, circuit: Circuit, with_states: bool, diff_method: str) -> qml.QNode:
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
