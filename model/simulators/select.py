"""Which simulator a study's name for it stands for, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hadamard.model.errors import SettingsError
from hadamard.model.simulators import hardware
from hadamard.model.simulators.base import SimulatorKind
from hadamard.model.simulators.registry import PREFERRED, kind_of

if TYPE_CHECKING:
    from hadamard.model.circuits.circuit import Circuit


@dataclass(frozen=True)
class Choice:
    """A simulator, and why it is the one."""

    kind: SimulatorKind
    reason: str

    @property
    def name(self) -> str:
        """Its own name, never `auto`."""
        return self.kind.name


def resolve(name: str, circuits: Sequence[Circuit], precision: str = "float32", ranks: int = 1) -> Choice:
    """Return the simulator that a study's name for it stands for on this machine.

    Args:
        name: As the study gives it.
        circuits: Of the head.
        precision: Of the trial.
        ranks: MPI ranks that train the trial together.

    Raises:
        SettingsError: There is no simulator of this name, or `auto` finds none.
    """
    if name != "auto":
        return Choice(kind_of(name), f"{name}, asked for by name")
    not_installed: list[SimulatorKind] = []
    for kind in map(kind_of, PREFERRED):
        if _fits(kind, circuits, precision, ranks):
            if hardware.is_installed(kind):
                return Choice(kind, _reason(kind, circuits, ranks, not_installed))
            not_installed.append(kind)
    raise SettingsError("no simulator fits these circuits here; `hadamard doctor` says which there are")


def _fits(kind: SimulatorKind, circuits: Sequence[Circuit], precision: str, ranks: int) -> bool:
    """Whether a simulator is the right one, if it is installed: on all ranks, and on the GPU where there is one."""
    qubits = max((circuit.qubits for circuit in circuits), default=0)
    return (
        (kind.ranks != "no") == (ranks > 1)
        and (ranks > 1 or hardware.runs_on_gpu(kind) == hardware.gpu_in_sight())
        and (not kind.real_only or all(circuit.real for circuit in circuits))
        and (kind.most_qubits is None or qubits <= kind.most_qubits[precision])
    )


def _reason(kind: SimulatorKind, circuits: Sequence[Circuit], ranks: int, not_installed: Sequence[SimulatorKind]) -> str:
    place = f"on {ranks} MPI ranks" if ranks > 1 else "on the GPU in sight" if hardware.runs_on_gpu(kind) else "on the CPU"
    qubits = max((circuit.qubits for circuit in circuits), default=0)
    numbers = "real" if all(circuit.real for circuit in circuits) else "complex"
    reason = f"{kind.name}, chosen by auto: {numbers} circuits of up to {qubits} qubits, {place}"
    missing = ", ".join(f"{kind.name} is not installed" for kind in not_installed)
    return f"{reason} ({missing}, see `hadamard doctor`)" if missing else reason
