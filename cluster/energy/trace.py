"""A trace: a CSV of a node's counters over time, which is what is recorded and what can be replayed, and the joules between two moments."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hadamard.cluster.energy.base import CPU, Counter, started_again

TIME, WRAPS = "time_s", "wraps_at"
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trace:
    """Readings of counters.

    Attributes:
        counters: In the order of the columns.
        times_s: Unix times, ascending, [readings].
        joules: Since the first reading, never starting again, [readings, counters].
    """

    counters: tuple[Counter, ...]
    times_s: Array
    joules: Array

    def of(self, device: str) -> list[int]:
        """Return the columns of the counters of a device."""
        return [column for column, counter in enumerate(self.counters) if counter.device == device]

    def at(self, moments_s: Sequence[float] | Array, column: int) -> Array:
        """Return a counter's joules at moments, by straight lines between readings; NaN before the first and after the last one."""
        if not len(self.times_s):
            return np.full(len(moments_s), np.nan)
        return np.interp(moments_s, self.times_s, self.joules[:, column], left=np.nan, right=np.nan)


def trace_of(counters: Sequence[Counter], times_s: Sequence[float], readings: Sequence[Sequence[float]]) -> Trace:
    """Return a trace of readings [readings, counters] in any order of time.

    Counters start again as `started_again` tells it.
    """
    order = np.argsort(np.asarray(times_s, dtype=float), kind="stable")
    raw = np.asarray(readings, dtype=float).reshape(len(times_s), len(counters))[order]
    ends = np.array([np.inf if counter.wraps_at_j is None else counter.wraps_at_j for counter in counters])
    before, after = raw[:-1], raw[1:]
    steps = np.zeros_like(raw)
    steps[1:] = after - before + np.where(started_again(ends, before, after), ends, 0.0)
    return Trace(tuple(counters), np.asarray(times_s, dtype=float)[order], np.cumsum(steps, axis=0))


def read_trace(file: Path, counters: Sequence[Counter] | None = None) -> Trace:
    """Read a trace; a torn last line does not count.

    Args:
        file: CSV with a column `time_s` (Unix time) and one per counter; a line `wraps_at` says where counters start again, empty: nowhere.
        counters: What the columns are, of a trace that we recorded: lines that a full disk or a lost node has damaged do not count. Left
            out, columns named `gpu...` are of that device and all others of the CPU.

    Raises:
        ValueError: It is not such a file; the message names the line.
    """
    if counters is not None and not file.exists():
        return trace_of(counters, [], [])
    *lines, _torn = file.read_text(errors="replace").split("\n")
    names, *rows = list(csv.reader(lines)) or [[TIME, *(counter.name for counter in counters or ())]]
    if names[:1] != [TIME] or len(names) < 2:
        raise ValueError(f"{file}:1: the columns are {TIME} and one or more of joules, not {', '.join(names) or 'none'}")
    wraps: list[str] = [""] * (len(names) - 1)
    times, readings = [], []
    for number, row in enumerate(rows, start=2):
        try:
            if row[:1] == [WRAPS]:
                wraps = row[1:]
                continue
            time, *values = map(float, row)
            if len(values) != len(names) - 1:
                raise ValueError(f"{len(row)} values for {len(names)} columns")
        except ValueError as error:
            if counters is not None:
                continue
            raise ValueError(f"{file}:{number}: {error}") from error
        times.append(time)
        readings.append(values)
    return trace_of(counters or _counters(names[1:], wraps), times, readings)


def _counters(names: Sequence[str], wraps: Sequence[str]) -> list[Counter]:
    devices = [name if name == "gpu" or name.startswith("gpu:") else CPU for name in names]
    return [
        Counter(name, device, f"trace of {name}", float(wrap) if wrap else None)
        for name, device, wrap in zip(names, devices, wraps, strict=True)
    ]
