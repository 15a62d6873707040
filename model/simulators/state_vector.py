"""The clear simulator: real state vectors of a whole batch in one torch tensor, gate by gate, differentiated by autograd.

Owns plain correctness: every faster simulator is tested against it. Does not own speed beyond what batching gives.
"""

from __future__ import annotations

import functools

import torch

from model.circuit import Circuit


class StateVectorSimulator:
    """Simulates RY and CNOT circuits on [rows, 2**qubits] real amplitudes, on the device and in the precision of the angles."""

    def expectations(self, circuit: Circuit, angles: torch.Tensor, states: torch.Tensor | None = None) -> torch.Tensor:
        """Return <Z> of the measured qubits, [rows, measured]; see `model.simulators.Simulator`."""
        state = _zero_state(angles, circuit.qubits) if states is None else states
        cosines, sines = torch.cos(angles / 2), torch.sin(angles / 2)
        for gate in circuit.gates:
            if gate.angle is None:
                state = state.index_select(1, _cnot_permutation(circuit.qubits, *gate.qubits, state.device))
            else:
                state = _rotate(state, gate.qubits[0], cosines[:, gate.angle], sines[:, gate.angle])
        return (state * state) @ _z_signs(circuit.qubits, circuit.measured, state.dtype, state.device)


def _zero_state(angles: torch.Tensor, qubits: int) -> torch.Tensor:
    state = angles.new_zeros(angles.shape[0], 2**qubits)
    state[:, 0] = 1
    return state


def _rotate(state: torch.Tensor, qubit: int, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Apply RY to one qubit: mix the two halves of the state in which this qubit is 0 and 1."""
    halves = state.view(state.shape[0], 2**qubit, 2, -1)
    zero, one = halves[:, :, 0], halves[:, :, 1]
    c, s = cosine[:, None, None], sine[:, None, None]
    return torch.stack((c * zero - s * one, s * zero + c * one), dim=2).view_as(state)


@functools.lru_cache(maxsize=4096)
def _cnot_permutation(qubits: int, control: int, target: int, device: torch.device) -> torch.Tensor:
    """Return where each amplitude comes from: the target bit flipped where the control bit is set."""
    index = torch.arange(2**qubits, device=device)
    control_bit = (index >> (qubits - 1 - control)) & 1
    return index ^ (control_bit << (qubits - 1 - target))


@functools.lru_cache(maxsize=256)
def _z_signs(qubits: int, measured: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return [2**qubits, measured]: the eigenvalue of each measured qubit's Z in each basis state."""
    index = torch.arange(2**qubits, device=device)
    shifts = qubits - 1 - torch.arange(measured, device=device)
    return (1 - 2 * ((index[:, None] >> shifts) & 1)).to(dtype)
