"""The reference: real state vectors of a whole batch in one torch tensor, gate by gate, differentiated by autograd.

Written to be read; every faster simulator is tested against it.
"""

from __future__ import annotations

import functools

import torch

from hadamard.model.circuits.circuit import Circuit, Gate
from hadamard.model.errors import SettingsError

HALF_ROOT = 0.5**0.5
FIXED = {"X": ((0.0, 1.0), (1.0, 0.0)), "Z": ((1.0, 0.0), (0.0, -1.0)), "H": ((HALF_ROOT, HALF_ROOT), (HALF_ROOT, -HALF_ROOT))}


class StateVectorSimulator:
    """Simulates real circuits on [trials, rows, 2**qubits] real amplitudes, on the device and in the precision of the weights."""

    device = torch.device("cpu")
    description = f"gate by gate, torch {torch.__version__}, on cpu"

    def expectations(
        self, circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None = None, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return <Z> of the measured qubits, [trials, rows, measured]; see `base.Simulator`.

        Raises:
            SettingsError: A gate is not real.
        """
        states = padded(states, circuit.qubits)
        trials, rows = batch_shape(circuit, weights, inputs, states)
        state = _zero_state(weights, rows, circuit.qubits) if states is None else states
        for gate in circuit.gates:
            angle = None
            if gate.angle is not None:
                angle = weights[:, None, gate.angle.column] if gate.angle.of == "weights" else _column(inputs, gate.angle.column)
            state = _apply(gate, angle, state.reshape(trials, rows, *(2,) * circuit.qubits))
        state = state.reshape(trials, rows, 2**circuit.qubits)
        return (state * state) @ z_signs(circuit.qubits, circuit.measured, state.dtype, state.device)


def batch_shape(circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None, states: torch.Tensor | None) -> tuple[int, int]:
    """Return trials and rows; a circuit without inputs and initial states has one row.

    Raises:
        ValueError: A tensor is not of the shape that `base.Simulator` states, or not on the device of the weights.
    """
    given = states if inputs is None else inputs
    trials, rows = len(weights), 1 if given is None else given.shape[1]
    if inputs is None and circuit.inputs:
        raise ValueError(f"the circuit takes inputs, [{trials}, rows, {circuit.inputs}]")
    amplitudes = 2**circuit.qubits if states is None else min(states.shape[-1], 2**circuit.qubits)
    shapes = {"weights": (trials, circuit.weights), "inputs": (trials, rows, circuit.inputs), "states": (trials, rows, amplitudes)}
    for (name, shape), tensor in zip(shapes.items(), (weights, inputs, states), strict=True):
        if tensor is not None and (tensor.shape != shape or tensor.device != weights.device):
            raise ValueError(f"{name} should be {list(shape)} on {weights.device}, not {list(tensor.shape)} on {tensor.device}")
    return trials, rows


def padded(states: torch.Tensor | None, qubits: int) -> torch.Tensor | None:
    """Return states with all their 2**qubits amplitudes: those that are left out at the end are 0."""
    if states is None or states.shape[-1] >= 2**qubits:
        return states
    return torch.nn.functional.pad(states, (0, 2**qubits - states.shape[-1]))


@functools.lru_cache(maxsize=256)
def z_signs(qubits: int, measured: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return [2**qubits, measured]: the eigenvalue of each measured qubit's Z in each basis state."""
    index = torch.arange(2**qubits, device=device)
    shifts = qubits - 1 - torch.arange(measured, device=device)
    return (1 - 2 * ((index[:, None] >> shifts) & 1)).to(dtype)


def _zero_state(weights: torch.Tensor, rows: int, qubits: int) -> torch.Tensor:
    state = weights.new_zeros(len(weights), rows, 2**qubits)
    state[..., 0] = 1
    return state


def _column(inputs: torch.Tensor | None, column: int) -> torch.Tensor:
    assert inputs is not None, "the circuit takes inputs"
    return inputs[:, :, column]


def _apply(gate: Gate, angle: torch.Tensor | None, state: torch.Tensor) -> torch.Tensor:
    """Apply one gate to a state of shape [trials, rows, 2, 2, ...], one axis per qubit."""
    if gate.name == "SWAP":
        return state.transpose(2 + gate.qubits[0], 2 + gate.qubits[1])
    if gate.name in ("CNOT", "CZ", "CRY"):
        control, target = gate.qubits
        zero, one = state.unbind(2 + control)
        target -= target > control  # the control's axis is gone
        return torch.stack((zero, _on_qubit(gate.name.removeprefix("C"), angle, one, target)), dim=2 + control)
    return _on_qubit(gate.name, angle, state, gate.qubits[0])


def _on_qubit(name: str, angle: torch.Tensor | None, state: torch.Tensor, qubit: int) -> torch.Tensor:
    """Mix the two halves of the state in which a qubit is 0 and 1; NOT is X."""
    zero, one = state.unbind(2 + qubit)
    if angle is not None and name == "RY":
        half = angle.reshape(*angle.shape, *(1,) * (zero.dim() - 2)) / 2
        c, s = torch.cos(half), torch.sin(half)
        halves = (c * zero - s * one, s * zero + c * one)
    elif (matrix := FIXED.get("X" if name == "NOT" else name)) is not None:
        (a, b), (c_, d) = matrix
        halves = (a * zero + b * one, c_ * zero + d * one)
    else:
        raise SettingsError(f"simulator torch keeps real amplitudes and has no gate {name}; `simulator: auto` takes one that has")
    return torch.stack(halves, dim=2 + qubit)
