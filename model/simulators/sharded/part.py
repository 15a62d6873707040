"""What rank 0 asks of all ranks, and what one rank does of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hadamard.model.circuits.circuit import Circuit


@dataclass(frozen=True)
class Forward:
    """A call of `expectations`, its arrays as in `hadamard.model.simulators.base.Simulator`.

    Attributes:
        number: By which the gradient is asked for.
        keep: Whether it will be.
        forgotten: Numbers of earlier calls whose gradient nobody can ask for any more.
    """

    number: int
    circuit: Circuit
    keep: bool
    weights: np.ndarray
    inputs: np.ndarray | None
    states: np.ndarray | None
    rows: int
    forgotten: tuple[int, ...]


@dataclass(frozen=True)
class Backward:
    """The gradient of an earlier call: by the values' cotangent, of this many columns of weights and inputs and initial amplitudes."""

    number: int
    cotangent: np.ndarray
    weights: int
    inputs: int
    amplitudes: int


class Part(Protocol):
    """What one rank does of the states of some rows of all trials, from forward to backward."""

    def forward(self, states: np.ndarray | None, keep: bool) -> np.ndarray:
        """Return what this rank adds to the values of these rows; keep what their gradient needs only if it will be asked for."""

    def backward(self, cotangent: np.ndarray, amplitudes: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Return what this rank adds to the gradients by weights, inputs and the leading initial amplitudes; once."""

    def release(self) -> None:
        """Give the memory back."""


class Parts(Protocol):
    """Opens the parts of a simulator on one rank."""

    def __call__(self, circuit: Circuit, weights: np.ndarray, inputs: np.ndarray | None, rows: int) -> Part:
        """Return this rank's part of a circuit on this many rows."""
