"""Simulators: what turns a circuit, angles and initial states into expectation values, differentiably.

Owns the protocol and the choice by name. Does not own the circuits, nor anything about heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # whoever reads a study imports this, which must not take the seconds that torch takes
    import torch

    from model.circuit import Circuit

ADJOINT_DEVICES = ("lightning.qubit", "lightning.kokkos", "lightning.gpu")
"""PennyLane devices differentiated by the adjoint method, which gives no gradient for the initial state."""


class Simulator(Protocol):
    """Computes expectations of a batch of states under one circuit."""

    def expectations(
        self, circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None = None, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return <Z_q> of the circuit's measured qubits, for all rows of all trials at once.

        Args:
            circuit: The gates; each row runs all of them.
            weights: [trials, circuit.weights] in radians, the angles that all rows of a trial share; differentiable.
            inputs: [trials, rows, circuit.inputs] in radians, the angles of each row; differentiable. None: the circuit takes none.
            states: [trials, rows, 2**qubits] real amplitudes of norm 1, qubit 0 the most significant bit; None means |0...0>.

        Returns:
            [trials, rows, circuit.measured] in [-1, 1], in the precision of `weights`; one row per trial without inputs and states.

        Raises:
            SettingsError: The simulator does not have one of the circuit's gates, or not the gradient that is asked for.
        """
        ...


def choose(name: str) -> Simulator:
    """Return the simulator that a study names.

    Raises:
        SettingsError: Its PennyLane device cannot be opened here.
    """
    if resolve(name) == "torch":
        from model.simulators.state_vector import StateVectorSimulator

        return StateVectorSimulator()
    from model.simulators.pennylane_device import PennyLaneSimulator

    return PennyLaneSimulator(name)


def resolve(name: str) -> str:
    """Return the simulator that a name stands for: `auto` is the fastest one that suits, today always `torch`."""
    return "torch" if name == "auto" else name


def reason(name: str) -> str:
    """Return what a named simulator is and why it was chosen, in words."""
    if resolve(name) != "torch":
        return f"{name}, a PennyLane device asked for by name"
    chosen = "chosen by auto" if name == "auto" else "asked for by name"
    return f"torch, our own: the whole batch in one tensor of real amplitudes ({chosen})"
