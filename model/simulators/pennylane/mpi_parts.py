"""One rank's part of a PennyLane device that knows MPI: every rank runs the same circuits, and the device shares out their states.

The way from a call of all ranks to the device and its gradient; the device is in device.py.
"""

from __future__ import annotations

import numpy as np
import torch

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.errors import SettingsError
from hadamard.model.mpi.ranks import Ranks
from hadamard.model.simulators.pennylane.device import PennyLaneSimulator
from hadamard.model.simulators.pennylane.mpi_checks import Together


def open_parts(name: str, ranks: Ranks) -> PennyLaneParts:
    """Open a device with MPI on this rank.

    Raises:
        SettingsError: It cannot be opened here, or not shared by these ranks.
    """
    return PennyLaneParts(PennyLaneSimulator(name, Together(ranks.count, ranks.on_a_node)), ranks)


class PennyLaneParts:
    """Opens the device once, with MPI."""

    def __init__(self, simulator: PennyLaneSimulator, ranks: Ranks) -> None:
        """Take a device that was opened on every rank.

        Raises:
            SettingsError: There are several groups: such a device shares a state among all ranks of a program.
        """
        if ranks.groups > 1:
            raise SettingsError(
                f"simulator {simulator.device_name} shares a state among all ranks: mpi.shards should be mpi.ranks, {ranks.world.size}, "
                f"not {ranks.shards}; `simulator: auto` can share out a batch among groups of ranks"
            )
        self.simulator, self.leads = simulator, ranks.leads

    def __call__(self, circuit: Circuit, weights: np.ndarray, inputs: np.ndarray | None, rows: int) -> PennyLanePart:
        """Return this rank's part of a circuit on this many rows."""
        return PennyLanePart(self.simulator, self.leads, circuit, weights, inputs)


class PennyLanePart:
    """The values of some rows; those of all ranks are the same, so rank 0's are what counts."""

    def __init__(
        self, simulator: PennyLaneSimulator, leads: bool, circuit: Circuit, weights: np.ndarray, inputs: np.ndarray | None
    ) -> None:
        self.simulator, self.share, self.circuit = simulator, 1 if leads else 0, circuit
        self.angles = [None if array is None else torch.from_numpy(np.array(array)).requires_grad_() for array in (weights, inputs)]
        self.values: torch.Tensor | None = None

    def forward(self, states: np.ndarray | None, keep: bool) -> np.ndarray:
        """Return the values [trials, rows, measured] on rank 0, zeros on others.

        Args:
            states: As `base.Simulator` takes them; None: |0...0>.
            keep: Whether the gradient will be asked for, which the device then computes with the values.
        """
        weights, inputs = self.angles
        assert weights is not None
        given = None if states is None else torch.from_numpy(np.ascontiguousarray(states))
        with torch.set_grad_enabled(keep):
            values = self.simulator.expectations(self.circuit, weights, inputs, given)
        self.values = values if keep else None
        return values.detach().numpy() * self.share

    def backward(self, cotangent: np.ndarray, amplitudes: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Return the gradients on rank 0, zeros on others.

        Raises:
            SettingsError: A gradient is asked for the states, which the adjoint method does not give.
        """
        if amplitudes:
            raise SettingsError(
                f"simulator {self.simulator.device_name} gives no gradient for the initial state; `simulator: auto` takes one that does"
            )
        assert self.values is not None, "the gradient can be asked for once"
        leaves = [angle for angle in self.angles if angle is not None]
        given = torch.from_numpy(np.ascontiguousarray(cotangent))
        found = torch.autograd.grad(self.values, leaves, given, allow_unused=True)
        arrays = [
            np.zeros_like(leaf.detach()) if one is None else one.numpy() * self.share for leaf, one in zip(leaves, found, strict=True)
        ]
        self.release()
        return arrays[0], arrays[1] if len(arrays) > 1 else None, None

    def release(self) -> None:
        """Forget the values and what their gradient needs."""
        self.values = None
