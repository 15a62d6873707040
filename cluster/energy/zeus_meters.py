"""Meters through Zeus: the energy counters of GPUs by NVML, and RAPL by its daemon where this user may not read it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Collection, Iterator
from typing import Any, ClassVar

from hadamard.cluster.energy.base import CPU, GPUS, Counter, HardwareMeter, Host, MeterError
from hadamard.cluster.energy.sysfs import POWERCAP, zones

DRIVER = "dev/nvidiactl"
DAEMON = "ZEUSD_SOCK_PATH"
INSTALL = "pip install --no-deps zeus"


class ZeusGpus(HardwareMeter):
    """The GPUs that this process may use, each by its own counter, which NVIDIA has had since Volta."""

    hardware: ClassVar[str] = "NVIDIA GPU"
    device: ClassVar[str] = GPUS

    def __init__(self, host: Host, uncounted: Collection[str]) -> None:
        """Open them."""
        with _as_meter_error("GPUs"), _numbered_mask() as names:
            from zeus.device import get_gpus

            self._gpus: Any = get_gpus()
            names = names or [str(index) for index in range(len(self._gpus))]
            if not names:
                raise MeterError("no GPU is visible")
            for index in range(len(names)):
                if not self._gpus.supports_get_total_energy_consumption(index):
                    raise MeterError(f"GPU {index} has no energy counter, which NVIDIA has had since Volta")
        self.counters = tuple(Counter(f"gpu:{name}", f"gpu:{name}", "gpu") for name in names)

    @classmethod
    def is_there(cls, host: Host) -> bool:
        """Whether NVIDIA's driver is loaded."""
        return (host.root / DRIVER).exists()

    @classmethod
    def problem(cls, host: Host) -> str:
        """Say so where Zeus is not installed."""
        return "" if _zeus_is_installed() else f"the GPUs' counters are read by the package zeus, which is not installed: {INSTALL}"

    def read(self) -> tuple[float, ...]:
        """Return the joules of each GPU since its driver was loaded."""
        with _as_meter_error("GPUs"):
            return tuple(1e-3 * self._gpus.get_total_energy_consumption(index) for index in range(len(self.counters)))


class ZeusCpus(HardwareMeter):
    """RAPL packages and the memory beside them; Zeus allows for counts that start again from zero."""

    hardware: ClassVar[str] = f"Zeus daemon in {DAEMON}"
    device: ClassVar[str] = CPU

    def __init__(self, host: Host, uncounted: Collection[str]) -> None:
        """Open them."""
        with _as_meter_error("CPUs"):
            from zeus.device import get_cpus

            self._cpus: Any = get_cpus()
            first = [self._cpus.get_total_energy_consumption(index) for index in range(len(self._cpus))]
        self._dram = [index for index, reading in enumerate(first) if reading.dram_mj is not None]
        self.counters = (
            *(Counter(f"package-{index}", CPU, "cpu package") for index in range(len(first))),
            *(Counter(f"dram-{index}", CPU, "dram") for index in self._dram),
        )

    @classmethod
    def is_there(cls, host: Host) -> bool:
        """Whether there are zones and the daemon; without it, Zeus reads the files that Powercap cannot."""
        return DAEMON in host.environment and bool(zones(host.root / POWERCAP))

    @classmethod
    def problem(cls, host: Host) -> str:
        """Say so where Zeus is not installed."""
        return "" if _zeus_is_installed() else f"Zeus's daemon is there, but the package zeus is not: {INSTALL}"

    def read(self) -> tuple[float, ...]:
        """Return the joules of each package, then of the memory of each."""
        with _as_meter_error("CPUs"):
            readings = [self._cpus.get_total_energy_consumption(index) for index in range(len(self._cpus))]
        return tuple(
            1e-3 * value for value in (*(reading.cpu_mj for reading in readings), *(readings[index].dram_mj for index in self._dram))
        )


def _zeus_is_installed() -> bool:
    return importlib.util.find_spec("zeus") is not None


@contextlib.contextmanager
def _as_meter_error(devices: str) -> Iterator[None]:
    try:
        yield
    except MeterError:
        raise
    except Exception as error:  # drivers fail in their own ways; a missing meter must not cost a trial
        raise MeterError(f"Zeus cannot read the {devices}: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _numbered_mask() -> Iterator[list[str]]:
    """Have CUDA_VISIBLE_DEVICES name GPUs by number while Zeus reads it, which takes no UUIDs; yield its own names for them."""
    mask = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in mask.split(",")] if mask else []
    if all(name.isdigit() for name in names):
        yield names
        return
    import pynvml  # comes with Zeus

    pynvml.nvmlInit()
    numbers = [pynvml.nvmlDeviceGetIndex(pynvml.nvmlDeviceGetHandleByUUID(name)) for name in names]
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, numbers))
    try:
        yield names
    finally:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(mask)
