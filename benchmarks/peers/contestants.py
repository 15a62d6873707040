"""Who takes part: our simulators and their peers, by name, with what each needs to be installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from hadamard.model.errors import SettingsError
from hadamard.model.simulators.registry import SIMULATORS
from hadamard.orchestrator.timing.comparison import Contestant
from hadamard.orchestrator.timing.simulators import FACTORY, why_absent

BASELINE = "lightning.qubit"
"""What times are compared with, besides our own."""
INSTALL = "not installed (make peers, or pip install --group peers)"


@dataclass(frozen=True)
class Peer:
    """One way to compute a case.

    Attributes:
        name: As given to `--simulators`.
        how: What it is and how it is set, in words.
        package: What must be importable; None for our own.
        factory: Makes its step; our own have the one of `hadamard bench`.
        arguments: Of the factory.
        compiles: Whether it compiles the case when it is prepared.
    """

    name: str
    how: str
    package: str | None = None
    factory: str = FACTORY
    arguments: tuple[str, ...] = ()
    compiles: bool = False

    @property
    def contestant(self) -> Contestant:
        """As the comparison takes it."""
        if self.package is None:
            return Contestant(self.name, self.factory, (self.name,), why_absent(SIMULATORS[self.name]))
        return Contestant(self.name, self.factory, self.arguments, None if _importable(self.package) else INSTALL)


_LIGHTNING, _QNODES = "benchmarks.peers.with_lightning:prepare", "benchmarks.peers.with_qnodes:prepare"
_OWN = (
    Peer("compiled", "ours: C++ kernels, real float32"),
    Peer("triton", "ours: one GPU kernel per circuit, real float32", compiles=True),
    Peer("fused", "ours: blocks of gates as matrix products in torch, complex64"),
    Peer("torch", "ours: gate by gate in torch, real float32, autograd"),
)
_OTHERS = (
    Peer(
        "lightning.qubit",
        "adjoint, tapes given straight to the device, complex128",
        "pennylane_lightning",
        _LIGHTNING,
        ("lightning.qubit",),
    ),
    Peer(
        "lightning.qubit-qnode",
        "adjoint, two QNodes as PennyLane is usually called, batch broadcast",
        "pennylane_lightning",
        _QNODES,
        ("lightning.qubit",),
    ),
    Peer(
        "lightning.kokkos",
        "adjoint, tapes given straight to the device, complex128",
        "pennylane_lightning.lightning_kokkos",
        _LIGHTNING,
        ("lightning.kokkos",),
    ),
    Peer("default.qubit", "backpropagation through torch, batch broadcast, complex128", "pennylane", _QNODES, ("default.qubit",)),
    Peer(
        "qulacs",
        "its C++ adjoint sweep per sample, all <Z> as one observable, complex128",
        "qulacs",
        "benchmarks.peers.with_qulacs:prepare",
    ),
    Peer(
        "jax",
        "jitted, scans over gates, blocks of 4 rows, real float32",
        "jax",
        "benchmarks.peers.with_jax:prepare",
        compiles=True,
    ),
)
BY_NAME = {peer.name: peer for peer in (*_OWN, *_OTHERS)}


def chosen(names: Sequence[str]) -> tuple[Peer, ...]:
    """Return the contestants of these names, all of them if there are none.

    Raises:
        SettingsError: A name is not known.
    """
    if unknown := [name for name in names if name not in BY_NAME]:
        raise SettingsError(f"--simulators: {', '.join(unknown)} cannot be timed; those that can are {', '.join(BY_NAME)}")
    return tuple(peer for peer in BY_NAME.values() if peer.name in names or not names)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is not there
        return False
