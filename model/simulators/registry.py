"""All simulators. A new one is a file or folder beside this file, and an entry here; nothing else names it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from hadamard.model.errors import SettingsError
from hadamard.model.lazy import load
from hadamard.model.simulators.base import Rate, Simulator, SimulatorKind
from hadamard.model.simulators.hardware import is_installed

if TYPE_CHECKING:
    from hadamard.model.mpi.ranks import Ranks
    from hadamard.model.simulators.sharded.part import Parts

_HERE = "hadamard.model.simulators"
_PENNYLANE = f"{_HERE}.pennylane.device:PennyLaneSimulator"
_PENNYLANE_PARTS = f"{_HERE}.pennylane.mpi_parts:open_parts"
_PENNYLANE_RANKS_CHECK = f"{_HERE}.pennylane.mpi_checks:check_before_launch"
_COMPLEX128_BYTES = 16

SIMULATORS: dict[str, SimulatorKind] = {
    kind.name: kind
    for kind in (
        SimulatorKind(
            name="compiled",
            factory=f"{_HERE}.compiled.simulator:CompiledSimulator",
            needs=f"{_HERE}.compiled.native",
            fix="install a C++ compiler (g++ or clang++) and run `make install` again",
            real_only=True,
            evaluated_rows=16,
            rate=Rate(gate_s=0.5e-6, amplitude_s=0.06e-9),
        ),
        SimulatorKind(
            name="triton",
            factory=f"{_HERE}.triton.simulator:TritonSimulator",
            needs="triton",
            fix="pip install triton",
            real_only=True,
            gpu="needed",
            most_qubits={"float32": 14, "float64": 13},  # up to this many, a row's state fits one multiprocessor
        ),
        SimulatorKind(
            name="fused",
            factory=f"{_HERE}.fused.simulator:FusedSimulator",
            gpu="if in sight",
            rate=Rate(gate_s=16e-6, amplitude_s=0.4e-9),
        ),
        SimulatorKind(
            name="torch",
            factory=f"{_HERE}.reference:StateVectorSimulator",
            real_only=True,
            keeps_every_gate=True,
            rate=Rate(gate_s=105e-6, amplitude_s=4e-9),
        ),
        SimulatorKind(
            name="custatevec",
            factory=f"{_HERE}.custatevec.simulator:CuStateVecSimulator",
            fix="pip install 'hadamard[gpu]', or 'hadamard[gpu-cuda13]' for a torch with CUDA 13",
            gpu="needed",
        ),
        SimulatorKind(
            name="sharded",
            gpu="if in sight",
            ranks="groups",
            parts=f"{_HERE}.sharded.open_parts:open_shards",
        ),
        SimulatorKind(
            name="default.qubit", factory=_PENNYLANE, arguments=("default.qubit",), amplitude_bytes=_COMPLEX128_BYTES, keeps_every_gate=True
        ),
        SimulatorKind(
            name="lightning.qubit",
            factory=_PENNYLANE,
            arguments=("lightning.qubit",),
            state_gradient=False,
            amplitude_bytes=_COMPLEX128_BYTES,
        ),
        SimulatorKind(
            name="lightning.kokkos",
            factory=_PENNYLANE,
            arguments=("lightning.kokkos",),
            state_gradient=False,
            ranks="all",
            parts=_PENNYLANE_PARTS,
            ranks_check=_PENNYLANE_RANKS_CHECK,
            amplitude_bytes=_COMPLEX128_BYTES,
        ),
        SimulatorKind(
            name="lightning.gpu",
            factory=_PENNYLANE,
            arguments=("lightning.gpu",),
            state_gradient=False,
            gpu="needed",
            picks_gpu=True,
            ranks="all",
            parts=_PENNYLANE_PARTS,
            ranks_check=_PENNYLANE_RANKS_CHECK,
            amplitude_bytes=_COMPLEX128_BYTES,
        ),
    )
}
"""By name. Rates: float32, one core of a 2.3 GHz server with AVX-512, 4 to 14 qubits, batch 16, packs of 1 and 8 (measured 2026-11)."""

PREFERRED = ("sharded", "triton", "compiled", "fused")
"""What `auto` stands for: the first of these that fits."""

REFERENCE = "torch"
"""The simulator that others are compared with, written to be read."""


def kind_of(name: str) -> SimulatorKind:
    """Return what is known of a simulator by its own name, which is never `auto`.

    Raises:
        SettingsError: There is none of this name.
    """
    if name not in SIMULATORS:
        raise SettingsError(f"there is no simulator {name!r}. Choose from: {', '.join(SIMULATORS)}")
    return SIMULATORS[name]


def _known(name: str) -> str:
    if name != "auto" and name not in SIMULATORS:
        expected = ", ".join(map(repr, ("auto", *SIMULATORS)))
        raise PydanticCustomError("literal_error", "should be one of {expected}", {"expected": expected})
    return name


SimulatorName = Annotated[str, AfterValidator(_known)]
"""As a study names one: `auto`, or a name of the registry."""


def open_simulator(name: str, ranks: Ranks | None = None) -> Simulator:
    """Open a simulator.

    Args:
        name: Its own; what `auto` stands for, `select.resolve` says.
        ranks: The MPI ranks that this process leads; None: it is alone.

    Raises:
        SettingsError: It cannot be opened here.
    """
    kind = kind_of(name)
    if not is_installed(kind):
        raise SettingsError(f"simulator {name} cannot be opened here: {kind.needs} is missing; {kind.fix}")
    if kind.factory is None or (ranks is not None and ranks.count > 1):
        from hadamard.model.mpi.ranks import ALONE

        return _on_all_ranks(name, ranks or ALONE)
    simulator: Simulator = load(kind.factory)(*kind.arguments)
    return simulator


def check_simulator(name: str, ranks: int = 1) -> None:
    """Check, before anything is started, that a simulator can be opened on a number of ranks, as far as one process can tell.

    Raises:
        SettingsError: It cannot.
    """
    kind = kind_of(name)
    if ranks == 1:
        open_simulator(name)
    elif kind.ranks_check is not None:
        load(kind.ranks_check)(name, ranks)


def open_parts(name: str, ranks: Ranks) -> Parts:
    """Return what opens a simulator's parts on this rank; without a message, since ranks come here one by one.

    Raises:
        SettingsError: It cannot be opened here, or not on several ranks.
    """
    kind = kind_of(name)
    if kind.parts is None:
        choices = ", ".join(other.name for other in SIMULATORS.values() if other.parts)
        raise SettingsError(f"simulator {name} runs in one process, and there are {ranks.count} ranks. Choose from: {choices}")
    parts: Parts = load(kind.parts)(name, ranks)
    return parts


@functools.cache
def _on_all_ranks(name: str, ranks: Ranks) -> Simulator:
    """Return the one simulator of this name: the other ranks know its calls by their numbers."""
    simulator: Simulator = load(f"{_HERE}.sharded.simulator:ShardedSimulator")(ranks, name, open_parts(name, ranks))
    return simulator
