"""Meters whose counters are files: Linux powercap (RAPL of Intel and AMD), and the counters of Cray nodes.

Owns the files' places and formats. Does not own which meter a node gets.
"""

from __future__ import annotations

import os
from pathlib import Path

from hadamard.cluster.energy.meters import CPU, GPUS, Counter, MeterError, Method

POWERCAP, CRAY = Path("/sys/class/powercap"), Path("/sys/cray/pm_counters")


class Powercap:
    """RAPL packages, and the memory beside them, by the kernel's powercap tree (Documentation/power/powercap in Linux).

    A package's count includes its cores and its graphics. `psys` zones include packages and are left out.
    """

    method: Method = "counter"

    def __init__(self, root: Path = POWERCAP) -> None:
        """Open the zones that may be read.

        Raises:
            MeterError: There are none.
        """
        self._files, counters = [], []
        for package in readable_packages(root):
            for zone in (package, *sorted(package.glob("intel-rapl:*"))):
                kind = _text(zone / "name")
                if kind.startswith(("package", "dram")):
                    self._files.append(zone / "energy_uj")
                    counters.append(_counter(zone, package, kind))
        if not counters:
            raise MeterError(f"no RAPL zone can be read under {root}")
        self.counters: tuple[Counter, ...] = tuple(counters)

    def read(self) -> tuple[float, ...]:
        """Return the joules of each zone."""
        return tuple(_number(file) * 1e-6 for file in self._files)


class CrayNode:
    """A Cray node's `energy`, without its accelerators' where `gpus_apart`, and these as a second counter unless another meter has them.

    Each file holds a number and its unit; the kernel of Cray renews them ten times a second.
    """

    method: Method = "counter"

    def __init__(self, gpus: bool, root: Path = CRAY) -> None:
        """Open the counters.

        Args:
            gpus: Whether the accelerators are to be counted here.
            root: Where the files are.

        Raises:
            MeterError: There are none.
        """
        self._node, self._gpus = root / "energy", gpus
        self._accelerators = sorted(root.glob("accel[0-9]*_energy"))
        _number(self._node)
        of_node = Counter("node", CPU, "node without accelerators" if self._accelerators else "node")
        of_gpus = Counter(GPUS, GPUS, "all accelerators of the node")
        self.counters: tuple[Counter, ...] = (of_node, of_gpus) if gpus and self._accelerators else (of_node,)

    def read(self) -> tuple[float, ...]:
        """Return the joules of the node, and of its accelerators."""
        accelerators = sum(map(_number, self._accelerators))
        return (_number(self._node) - accelerators, accelerators)[: len(self.counters)]


def zones(root: Path) -> list[Path]:
    """Return the topmost zones; those below them have one more number in their names."""
    return sorted(path for path in root.glob("intel-rapl:*") if path.name.count(":") == 1)


def readable_packages(root: Path) -> list[Path]:
    """Return the zones of CPU packages that this user may read."""
    return [zone for zone in zones(root) if os.access(zone / "energy_uj", os.R_OK) and _text(zone / "name").startswith("package")]


def _counter(zone: Path, package: Path, kind: str) -> Counter:
    name = kind if zone == package else f"{kind}-{package.name.rpartition(':')[2]}"
    return Counter(name, CPU, "dram" if kind.startswith("dram") else "cpu package", _number(zone / "max_energy_range_uj") * 1e-6)


def _number(file: Path) -> float:
    try:
        return float(_text(file).split()[0])
    except (IndexError, ValueError) as error:
        raise MeterError(f"{file} holds no number") from error


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        raise MeterError(f"{file}: {error.strerror}") from error
