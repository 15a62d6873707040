"""An estimate where no counter is: CPU seconds of the node times stated watts for a busy core.

Owns the model. Does not own when it is used: only where it is asked for, and never beside counters.
"""

from __future__ import annotations

import os
from pathlib import Path

from hadamard.cluster.energy.meters import CPU, Counter, MeterError, Method

STAT = Path("/proc/stat")
BUSY = (0, 1, 2, 5, 6)
"""Fields of /proc/stat: user, nice, system, irq and softirq; guests are in the first two (man 5 proc_stat)."""


class ModelledCpu:
    """Joules of all CPU seconds on this node, whoever's they are, as RAPL would count them: an idle core takes nothing."""

    method: Method = "modelled"

    def __init__(self, core_w: float, stat: Path = STAT) -> None:
        """Prepare for cores that take so many watts when busy."""
        self._core_w, self._stat = core_w, stat
        self.counters: tuple[Counter, ...] = (Counter("cpu-seconds", CPU, f"CPU seconds x {core_w:g} W"),)
        self.read()

    def read(self) -> tuple[float, ...]:
        """Return the modelled joules since the machine was started."""
        try:
            ticks = self._stat.read_text().split("\n", 1)[0].split()[1:]
            return (self._core_w * sum(int(ticks[field]) for field in BUSY) / os.sysconf("SC_CLK_TCK"),)
        except (OSError, IndexError, ValueError) as error:
            raise MeterError(f"{self._stat}: {error}") from error
