"""Energy meters: what a node's counters say was used between two moments, or None and the reason why nothing was measured.

Owns the counters and the naming of scope and method. Does not own the attribution to trials.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model.errors import UserError

VARIABLE = "HADAMARD_ENERGY"
SHORTEST_WINDOW_S = 10.0
"""Counters tick about every 100 ms and GPUs sample only part of the time: below this, a window says little."""


@dataclass(frozen=True)
class Energy:
    """What one window measured.

    Attributes:
        energy_j: Joules, gross: idle power is included.
        scope: What the counters cover, such as `cpu package + dram`.
        method: `counter` (hardware) or `replay` (a recorded trace).
        window_s: Length of the window.
    """

    energy_j: float
    scope: str
    method: str
    window_s: float


class EnergyMeter(Protocol):
    """One window at a time."""

    reason: str
    """Why nothing is measured; empty where something is."""

    def begin(self) -> None:
        """Open a window."""
        ...

    def end(self) -> Energy | None:
        """Close it and return what was used, or None if that could not be measured."""
        ...


class NullMeter:
    """Measures nothing and says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def begin(self) -> None:
        """Do nothing."""

    def end(self) -> Energy | None:
        """Return None: not measured."""
        return None


class ZeusMeter:
    """Reads NVML's energy counter and RAPL packages and DRAM through Zeus, whichever of them can be read here."""

    reason = ""

    def __init__(self, gpus: int) -> None:
        from zeus.monitor import ZeusMonitor  # imported late: takes seconds, and is not always installed

        self._monitor = ZeusMonitor(gpu_indices=None if gpus else [])

    def begin(self) -> None:
        """Open a window; Zeus is not asked to synchronise, since the pack runs in a process of its own."""
        self._monitor.begin_window("pack", sync_execution=False)

    def end(self) -> Energy | None:
        """Add up the parts that were read; None if there were none."""
        measured = self._monitor.end_window("pack", sync_execution=False)
        parts = {"gpu": measured.gpu_energy, "cpu package": measured.cpu_energy, "dram": measured.dram_energy}
        read = {name: sum(values.values()) for name, values in parts.items() if values}
        return Energy(sum(read.values()), " + ".join(read), "counter", measured.time) if read else None


class ReplayMeter:
    """Replays a recorded trace: CSV with the columns `time_s` (Unix time) and `energy_j` (a running count), interpolated linearly."""

    reason = ""

    def __init__(self, trace: Path, clock: Callable[[], float] = time.time) -> None:
        try:
            with open(trace, newline="") as file:
                rows = [(float(row["time_s"]), float(row["energy_j"])) for row in csv.DictReader(file)]
        except (OSError, KeyError, ValueError) as error:
            raise UserError(f"{VARIABLE}: {trace} is not a trace (CSV with the columns time_s, energy_j): {error!r}") from error
        self._trace = sorted(rows)
        self._clock = clock
        self._begun = 0.0

    def begin(self) -> None:
        """Open a window at the clock's time."""
        self._begun = self._clock()

    def end(self) -> Energy | None:
        """Return the difference of the trace at both ends; None if one of them lies outside it."""
        ended = self._clock()
        first, last = self._at(self._begun), self._at(ended)
        return None if first is None or last is None else Energy(last - first, "trace", "replay", ended - self._begun)

    def _at(self, moment: float) -> float | None:
        for (t0, e0), (t1, e1) in zip(self._trace, self._trace[1:], strict=False):
            if t0 <= moment <= t1:
                return e0 + (e1 - e0) * (moment - t0) / (t1 - t0)
        return None


def open_meter(gpus: int, environment: Mapping[str, str] = os.environ) -> EnergyMeter:
    """Return this node's meter: `HADAMARD_ENERGY=off` or `=replay:TRACE.csv` if set, else the hardware's counters if any can be read.

    Args:
        gpus: Of what is measured; 0 leaves out the GPUs that this process sees, since they work for others.
        environment: Where the variable is looked up.
    """
    if reason := why_not_measured(environment):
        return NullMeter(reason)
    if trace := _trace(environment):
        return ReplayMeter(trace)
    try:
        return ZeusMeter(gpus)
    except Exception as error:  # drivers fail in their own ways; a missing meter must not cost a trial
        return NullMeter(f"Zeus cannot read this machine's counters: {error}")


def why_not_measured(environment: Mapping[str, str] = os.environ) -> str:
    """Return why `open_meter` would measure nothing, or an empty string if it may; raises a UserError for a bad trace."""
    if environment.get(VARIABLE) == "off":
        return f"switched off by {VARIABLE}=off"
    if trace := _trace(environment):
        ReplayMeter(trace)
        return ""
    return counters_missing()


def counters_missing(powercap: Path = Path("/sys/class/powercap"), nvidia: Path = Path("/dev/nvidiactl")) -> str:
    """Return why no energy counter can be read here, or an empty string if one may be."""
    if importlib.util.find_spec("zeus") is None:
        return "the package zeus is not installed (docs/energy.md says how)"
    readable = [path for path in powercap.glob("intel-rapl:*/energy_uj") if os.access(path, os.R_OK)]
    if readable or nvidia.exists():
        return ""
    if any(powercap.glob("intel-rapl:*")):
        return f"{powercap}/intel-rapl:*/energy_uj is there but may not be read by this user; ask the administrator for read permission"
    return "this machine shows no energy counter (no NVIDIA GPU, no RAPL under /sys/class/powercap), as is usual on virtual machines"


def _trace(environment: Mapping[str, str]) -> Path | None:
    kind, _, path = environment.get(VARIABLE, "").partition(":")
    return Path(path) if kind == "replay" else None
