"""An estimate where no counter is: CPU seconds of the node times stated watts for a busy core; used only on request."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from hadamard.cluster.energy.base import CPU, Counter, MeterError, Method, RequestedMeter

STAT = Path("/proc/stat")
BUSY = (0, 1, 2, 5, 6)
"""Fields of /proc/stat: user, nice, system, irq and softirq; guests are in the first two (man 5 proc_stat)."""


class ModelledCpu(RequestedMeter):
    """Joules of all CPU seconds on this node, of whatever process, as RAPL would count them: an idle core takes nothing."""

    method: Method = "modelled"
    core_w: float
    name: ClassVar[str] = "modelled"
    usage: ClassVar[str] = "modelled:WATTS, the watts of a busy core"

    def __init__(self, core_w: float, stat: Path = STAT) -> None:
        """Prepare for cores that take these watts when busy."""
        self.core_w, self._stat = core_w, stat
        self.counters: tuple[Counter, ...] = (Counter("cpu-seconds", CPU, f"CPU seconds x {core_w:g} W"),)
        self.read()

    @classmethod
    def requested(cls, value: str, environment: Mapping[str, str]) -> Self:
        """Open it for the stated watts."""
        core_w = float(value)
        if not 0 < core_w < math.inf:
            raise ValueError(f"watts are a positive number, not {value}")
        return cls(core_w)

    def read(self) -> tuple[float, ...]:
        """Return the modelled joules since the machine was started."""
        try:
            ticks = self._stat.read_text().split("\n", 1)[0].split()[1:]
            return (self.core_w * sum(int(ticks[field]) for field in BUSY) / os.sysconf("SC_CLK_TCK"),)
        except (OSError, IndexError, ValueError) as error:
            raise MeterError(f"{self._stat}: {error}") from error
