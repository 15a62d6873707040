"""Windows: a pass over a batch, repeated while clocks and energy counters are read."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from hadamard.cluster.energy.base import Meter, MeterError, used_j
from hadamard.cluster.energy.choice import open_meter
from hadamard.model.logs import warn_once
from hadamard.model.settings import Settings

Pass: TypeAlias = Callable[[], Any]
"""Computes a batch once and returns its values [rows], in any array type."""
FEWEST_PASSES = 3
logger = logging.getLogger(__name__)


class Window(Settings):
    """What one sentence took, of a window of passes one after the other."""

    cpu_s: float
    """Process CPU seconds, all threads together, of the median pass."""
    wall_s: float
    """By the clock, of the median pass."""
    passes: int
    window_s: float
    """How long the window lasted."""
    joules: float | None
    """By counters, of the whole window divided by its sentences; None where it was not measured."""


def window(one_pass: Pass, rows: int, meter: Meter | None, gpu: bool, shortest_s: float, most_s: float) -> Window:
    """Repeat a pass and return what each sentence of it took.

    Args:
        one_pass: Takes all rows of a batch.
        rows: Of a batch.
        meter: The node's, which must not be one that models from CPU seconds; None: nothing is metered.
        gpu: Whether a GPU does it: its joules count then, and not those of the node's cores.
        shortest_s: How long to go on at least, if a pass does not take longer.
        most_s: No pass but the first begins after this, however few there were.
    """
    times: list[tuple[float, float]] = []
    before, began = _read(meter), time.perf_counter()
    while True:
        cpu, wall = time.process_time(), time.perf_counter()
        one_pass()
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
        window_s = time.perf_counter() - began
        if window_s >= most_s or (window_s >= shortest_s and len(times) >= FEWEST_PASSES):
            break
    joules = _used_j(meter, before, _read(meter), gpu)
    cpu_s, wall_s = (statistics.median(clock) / rows for clock in zip(*times, strict=True))
    sentence_j = None if joules is None else joules / (rows * len(times))
    return Window(cpu_s=cpu_s, wall_s=wall_s, passes=len(times), window_s=window_s, joules=sentence_j)


def counting_meter() -> Meter | None:
    """Return this node's meter if it counts, by hardware or from a record; None if it has none or only a model."""
    meter = open_meter()
    return None if meter is None or meter.method == "modelled" else meter


def _read(meter: Meter | None) -> tuple[float, ...] | None:
    try:
        return None if meter is None else meter.read()
    except MeterError as error:
        warn_once(logger, "a window has no joules", error)
        return None


def _used_j(meter: Meter | None, before: tuple[float, ...] | None, after: tuple[float, ...] | None, gpu: bool) -> float | None:
    """Return the joules of the kind of device that did it; None where they were not read, or several devices could be meant."""
    if meter is None or before is None or after is None:
        return None
    used = [joules for device, joules in used_j(meter.counters, before, after).items() if device.startswith("gpu") == gpu]
    return used[0] if len(used) == 1 else None
