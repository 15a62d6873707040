"""Meters whose counters are files: Linux powercap (RAPL of Intel and AMD), and the counters of Cray nodes."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from hadamard.cluster.energy.base import CPU, GPUS, Counter, HardwareMeter, Host, MeterError

POWERCAP, CRAY = "sys/class/powercap", "sys/cray/pm_counters"


class Powercap(HardwareMeter):
    """RAPL packages, and the memory beside them, by the kernel's powercap tree (Documentation/power/powercap in Linux).

    A package's count includes its cores and its graphics. `psys` zones include packages and are left out.
    """

    hardware: ClassVar[str] = f"RAPL under /{POWERCAP}"
    device: ClassVar[str] = CPU

    def __init__(self, host: Host, uncounted: Collection[str]) -> None:
        """Open the zones that may be read."""
        root = host.root / POWERCAP
        self._files, counters = [], []
        for package in readable_packages(root):
            for zone in (package, *sorted(package.glob("intel-rapl:*"))):
                kind = _text(zone / "name")
                if kind.startswith(("package", "dram")):
                    self._files.append(zone / "energy_uj")
                    counters.append(_counter(zone, package, kind))
        if not counters:
            raise MeterError(f"no RAPL zone can be read under {root}")
        self.counters = tuple(counters)

    @classmethod
    def is_there(cls, host: Host) -> bool:
        """Whether the kernel shows zones."""
        return bool(zones(host.root / POWERCAP))

    @classmethod
    def problem(cls, host: Host) -> str:
        """Say so where no package may be read, as on most systems by anybody but root."""
        root = host.root / POWERCAP
        if readable_packages(root):
            return ""
        return (
            f"{zones(root)[0]}/energy_uj is there but may not be read by this user: ask the administrator for `chmod a+r` on these files, "
            "or for Zeus's daemon and its socket in ZEUSD_SOCK_PATH"
        )

    def read(self) -> tuple[float, ...]:
        """Return the joules of each zone."""
        return tuple(_number(file) * 1e-6 for file in self._files)


class CrayNode(HardwareMeter):
    """A Cray node's `energy` without that of its accelerators, and these as a second counter unless another meter has them.

    Each file holds a number and its unit; the kernel of Cray renews them ten times a second.
    """

    hardware: ClassVar[str] = f"Cray counters under /{CRAY}"
    device: ClassVar[str] = CPU

    def __init__(self, host: Host, uncounted: Collection[str]) -> None:
        """Open the counters."""
        root = host.root / CRAY
        self._node = root / "energy"
        self._accelerators = sorted(root.glob("accel[0-9]*_energy"))
        _number(self._node)
        of_node = Counter("node", CPU, "node without accelerators" if self._accelerators else "node")
        of_gpus = Counter(GPUS, GPUS, "all accelerators of the node")
        self.counters = (of_node, of_gpus) if GPUS in uncounted and self._accelerators else (of_node,)

    @classmethod
    def is_there(cls, host: Host) -> bool:
        """Whether this is a Cray node."""
        return os.access(host.root / CRAY / "energy", os.R_OK)

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
