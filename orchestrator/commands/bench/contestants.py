"""Who takes part in the benchmark: our simulators and their peers, by name, with what each needs to be installed.

Owns the list and the way from a name to a step. Does not own the steps. Nothing here imports a simulator before it is asked for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from hadamard.model.errors import SettingsError
from hadamard.model.simulators.hardware import gpu_in_sight, is_installed
from hadamard.model.simulators.registry import SIMULATORS
from hadamard.orchestrator.commands.bench.cases import Case, Step

BASELINE = "lightning.qubit"
"""What times are compared with, besides our own."""
REFERENCE = "reference"
"""Not a contestant: the clear simulator in float64, whose numbers everybody's must match."""


@dataclass(frozen=True)
class Contestant:
    """One way to compute a case.

    Attributes:
        name: As given to `--simulators`.
        how: What it is and how it is set, in words.
        package: What must be importable; None for our own.
        compiles: Whether it compiles the case when it is prepared.
    """

    name: str
    how: str
    package: str | None = None
    compiles: bool = False


CONTESTANTS = (
    Contestant("compiled", "ours: C++ kernels, real float32"),
    Contestant("triton", "ours: one GPU kernel per circuit, real float32", compiles=True),
    Contestant("fused", "ours: blocks of gates as matrix products in torch, complex64"),
    Contestant("torch", "ours: gate by gate in torch, real float32, autograd"),
    Contestant("lightning.qubit", "adjoint, tapes given straight to the device, complex128", "pennylane_lightning"),
    Contestant("lightning.qubit-qnode", "adjoint, two QNodes as PennyLane is usually called, batch broadcast", "pennylane_lightning"),
    Contestant("lightning.kokkos", "adjoint, tapes given straight to the device, complex128", "pennylane_lightning.lightning_kokkos"),
    Contestant("default.qubit", "backpropagation through torch, batch broadcast, complex128", "pennylane"),
    Contestant("qulacs", "its C++ adjoint sweep per sample, all <Z> as one observable, complex128", "qulacs"),
    Contestant("jax", "jitted, scans over gates, blocks of 4 rows, real float32", "jax", compiles=True),
)
BY_NAME = {one.name: one for one in CONTESTANTS}


def chosen(names: Sequence[str]) -> tuple[Contestant, ...]:
    """Return the contestants of these names, all of them if there are none.

    Raises:
        SettingsError: A name is not known.
    """
    if unknown := [name for name in names if name not in BY_NAME]:
        raise SettingsError(f"--simulators: {', '.join(unknown)} cannot be timed; those that can are {', '.join(BY_NAME)}")
    return tuple(one for one in CONTESTANTS if one.name in names or not names)


def why_absent(contestant: Contestant) -> str | None:
    """Return why a contestant cannot take part on this machine, None if it can."""
    if contestant.package is not None:
        return None if _importable(contestant.package) else "not installed (pip install 'hadamard[peers]')"
    if contestant.name == "triton" and not (gpu_in_sight() and importlib.util.find_spec("triton")):
        return "needs a GPU"
    return "not built here (see hadamard doctor)" if contestant.name == "compiled" and not is_installed(SIMULATORS["compiled"]) else None


def prepare(name: str, case: Case) -> Step:
    """Return the step of a contestant or of the reference, ready to be timed.

    Raises:
        SettingsError: It cannot be had here.
    """
    match name:
        case "qulacs":
            from hadamard.orchestrator.commands.bench import with_qulacs

            return with_qulacs.prepare(case)
        case "jax":
            from hadamard.orchestrator.commands.bench import with_jax

            return with_jax.prepare(case)
        case "lightning.qubit" | "lightning.kokkos":
            from hadamard.orchestrator.commands.bench import with_lightning

            return with_lightning.prepare(case, name)
        case "lightning.qubit-qnode" | "default.qubit":
            from hadamard.orchestrator.commands.bench import with_qnodes

            return with_qnodes.prepare(case, name.removesuffix("-qnode"))
        case _:
            from hadamard.orchestrator.commands.bench import with_simulator

            return with_simulator.prepare_reference(case) if name == REFERENCE else with_simulator.prepare(case, name)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is not there
        return False
