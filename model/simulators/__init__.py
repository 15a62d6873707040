"""Simulators: what turns a circuit, angles and initial states into expectation values, differentiably.

Owns the protocol, the names and the choice among them. Does not own the circuits, nor anything about heads.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Protocol

from model.errors import SettingsError

if TYPE_CHECKING:  # names are checked wherever a study is read, which must not take the seconds that torch takes to import
    import torch

    from model.circuit import Circuit

PENNYLANE_DEVICES = ("default.qubit", "lightning.qubit", "lightning.kokkos", "lightning.gpu")
ADJOINT_DEVICES = ("lightning.qubit", "lightning.kokkos", "lightning.gpu")
"""Devices differentiated by the adjoint method, which gives no gradient for the initial state."""
NAMES = ("auto", "torch", *PENNYLANE_DEVICES)


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
        SettingsError: The name is not known, or its device cannot be opened here; the message lists the names.
    """
    check_name(name)
    if resolve(name) == "torch":
        from model.simulators.state_vector import StateVectorSimulator

        reason = "the whole batch in one tensor of real amplitudes"
        return StateVectorSimulator(), f"torch: {reason}" + (" (chosen by auto)" if name == "auto" else "")
    from model.simulators.pennylane_device import PennyLaneSimulator

    return PennyLaneSimulator(name), f"{name}: PennyLane device, asked for by name"


def check_name(name: str) -> None:
    """Raise a SettingsError that lists the valid names unless `name` is one of them."""
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise SettingsError(f"unknown simulator {name!r}.{hint} Choose one of: {', '.join(NAMES)}")


def resolve(name: str) -> str:
    """Return the simulator that a name stands for: `auto` is the fastest one that suits, today always `torch`."""
    return "torch" if name == "auto" else name
