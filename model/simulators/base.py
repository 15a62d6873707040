"""The contract of simulators, and what is known of one before it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field

if TYPE_CHECKING:  # whoever reads a study imports this, which must not take the seconds that torch takes
    import torch

    from hadamard.model.circuits.circuit import Circuit

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Simulator(Protocol):
    """Computes expectations of a batch of states under one circuit, differentiably.

    Attributes:
        device: Where it wants its tensors.
        description: What computes, with versions where they matter, for `hadamard doctor`.
    """

    device: torch.device
    description: str

    def expectations(
        self, circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None = None, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return <Z_q> of the circuit's measured qubits, for all rows of all trials at once.

        Args:
            circuit: The gates; each row runs all of them.
            weights: [trials, circuit.weights] in radians, the angles that all rows of a trial share; differentiable.
            inputs: [trials, rows, circuit.inputs] in radians, the angles of each row; differentiable. None: the circuit takes none.
            states: [trials, rows, up to 2**qubits] real amplitudes of norm 1, qubit 0 the most significant bit, those that are left
                out 0; None means |0...0>.

        Returns:
            [trials, rows, circuit.measured] in [-1, 1], in the precision of `weights`; one row per trial without inputs and states.

        Raises:
            SettingsError: The simulator does not have one of the circuit's gates, or not the gradient that is asked for.
        """
        ...


@dataclass(frozen=True)
class Rate:
    """Forward and gradient of one gate on all rows of a step of a pack.

    Attributes:
        gate_s: Seconds, however many rows there are.
        amplitude_s: Seconds per amplitude of all these rows.
    """

    gate_s: Positive
    amplitude_s: Positive


@dataclass(frozen=True, kw_only=True)
class SimulatorKind:
    """One entry of the registry: enough to choose, plan and price a simulator without importing it.

    Attributes:
        name: As studies give it.
        factory: `module:callable` that opens it in this process; called with `arguments`. None: it has only `parts`.
        arguments: Of the factory.
        needs: The module that has to be importable; None if nothing beyond the package's own dependencies is.
        fix: What to do where it is missing.
        real_only: Whether it has only gates with real matrices.
        state_gradient: Whether it gives the gradient by initial states.
        gpu: Whether it computes on a GPU: where one is in sight, or not without one.
        picks_gpu: Whether each of several ranks has to see the GPUs of all ranks on its node, since it picks one by itself.
        most_qubits: By precision; None: as many as memory holds.
        ranks: Whether several MPI ranks can share its states: in groups, each of which takes some of the rows, or all ranks each state.
        parts: `module:function` that is called with name and ranks and returns what opens parts (`sharded/part.py`) on one rank; None
            where `ranks` is "no".
        ranks_check: `module:function` that is called with name and number of ranks before any rank is started, and raises a
            SettingsError for what cannot work; None: nothing to check.
        amplitude_bytes: Of an amplitude; None: of a number in the trial's precision, or of two where circuits are complex.
        keeps_every_gate: Whether a gradient keeps the states after every gate; otherwise a few states a row.
        evaluated_rows: How many rows it evaluates at once, at most; None: as many as are given.
        rate: Of one core before this machine has been measured; None: its time is not planned by such a rate.
    """

    name: str
    factory: str | None = None
    arguments: tuple[str, ...] = ()
    needs: str | None = None
    fix: str = ""
    real_only: bool = False
    state_gradient: bool = True
    gpu: Literal["no", "if in sight", "needed"] = "no"
    picks_gpu: bool = False
    most_qubits: Mapping[str, int] | None = None
    ranks: Literal["no", "groups", "all"] = "no"
    parts: str | None = None
    ranks_check: str | None = None
    amplitude_bytes: int | None = None
    keeps_every_gate: bool = False
    evaluated_rows: int | None = None
    rate: Rate | None = None
