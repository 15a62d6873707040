"""The machine that a benchmark ran on: processor, cores and versions."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence

from hadamard.cluster.allocation import detect
from hadamard.model.settings import Settings
from hadamard.orchestrator.planning.machine_rates import processor

PACKAGES = ("hadamard", "numpy", "torch", "triton", "pennylane", "pennylane-lightning", "pennylane-lightning-kokkos")


class Machine(Settings):
    """Where something was measured."""

    processor: str
    cores: int
    """That may be used."""
    system: str
    python: str
    versions: dict[str, str]
    """Of packages that compute; what is not installed is left out."""

    def as_text(self) -> str:
        """Return all of it on a line."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.processor}, {self.cores} cores, Python {self.python}, {versions}"


def this_machine(packages: Sequence[str] = PACKAGES) -> Machine:
    """Return the machine that this process is on, with the versions of packages."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    system = f"{platform.system()} {platform.machine()}"
    return Machine(processor=processor(), cores=detect().cpus, system=system, python=platform.python_version(), versions=versions)
