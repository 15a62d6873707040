"""Simulators: what turns a circuit, angles and initial states into expectation values, differentiably.

Owns the protocol and the choice by name. Does not own the circuits, nor anything about heads.
"""

from __future__ import annotations

from typing import Protocol

import torch

from model.circuit import Circuit
from model.errors import SettingsError
from model.simulators.names import PENNYLANE_DEVICES, check_name, resolve


class Simulator(Protocol):
    """Computes expectations of a batch of states under one circuit."""

    def expectations(self, circuit: Circuit, angles: torch.Tensor, states: torch.Tensor | None = None) -> torch.Tensor:
        """Return <Z_q> of the circuit's measured qubits.

        Args:
            circuit: The gates; each row of the batch runs all of them.
            angles: [rows, circuit.angles] in radians; differentiable.
            states: [rows, 2**qubits] real amplitudes of norm 1, qubit 0 the most significant bit; None means |0...0>.

        Returns:
            [rows, circuit.measured] in [-1, 1], in the precision of `angles`.
        """
        ...


def choose(name: str) -> tuple[Simulator, str]:
    """Return the simulator of that name and the reason for it, in words.

    Raises:
        SettingsError: The name is not known; the message lists those that are.
    """
    check_name(name)
    if resolve(name) == "torch":
        from model.simulators.state_vector import StateVectorSimulator

        reason = "the whole batch in one tensor of real amplitudes"
        return StateVectorSimulator(), f"torch: {reason}" + (" (chosen by auto)" if name == "auto" else "")
    from model.simulators.pennylane_device import PennyLaneSimulator

    try:
        return PennyLaneSimulator(name), f"{name}: PennyLane device, asked for by name"
    except (ImportError, NameError) as error:  # a device that is installed without its compiled part raises either
        raise SettingsError(
            f"simulator {name}: PennyLane cannot open this device here: {error}. Use one of: auto, torch, {', '.join(PENNYLANE_DEVICES)}"
        ) from error
