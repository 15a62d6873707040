"""What a meter is: running counts of joules, each of some device of a node, which may start again from zero.

Owns the protocol and its words. Does not own any counter, nor which of them a node has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = float | NDArray[np.float64]

Method = Literal["counter", "modelled", "replay"]
"""Hardware counted it; it was computed from CPU seconds and stated watts; or it was recorded earlier."""
CPU, GPUS = "cpu", "gpu"
"""Devices: whatever works for the node's cores; all of its GPUs together. One GPU is `gpu:0`, by its number or UUID."""
SHORTEST_WINDOW_S = 10.0
"""Counters tick about every 100 ms and GPUs sample only part of the time: below this, a window says little."""


class MeterError(Exception):
    """A meter can no longer be read."""


@dataclass(frozen=True)
class Counter:
    """One running count.

    Attributes:
        name: Unique on its node, such as `package-0`.
        device: What it counts for: `cpu`, `gpu` or `gpu:0`.
        scope: What it covers, in words.
        wraps_at_j: Where it starts again from zero; None where it does not.
    """

    name: str
    device: str
    scope: str
    wraps_at_j: float | None = None


class Meter(Protocol):
    """The counters of a node."""

    method: Method
    counters: tuple[Counter, ...]

    def read(self) -> tuple[float, ...]:
        """Return the joules of each counter since some moment of its own.

        Raises:
            MeterError: One of them cannot be read.
        """
        ...


class Joined:
    """Several meters of one node as one; none of their counters covers what another one does."""

    def __init__(self, meters: Sequence[Meter]) -> None:
        self._meters = meters
        self.method: Method = meters[0].method
        self.counters = tuple(counter for meter in meters for counter in meter.counters)

    def read(self) -> tuple[float, ...]:
        """Return what they say, one after the other."""
        return tuple(joules for meter in self._meters for joules in meter.read())


def step_j(counter: Counter, before: float, after: float) -> float:
    """Return the joules between two readings of a counter that started again from zero at most once between them."""
    end = math.inf if counter.wraps_at_j is None else counter.wraps_at_j
    return after - before + (end if started_again(end, before, after) else 0.0)


def started_again(ends: Numbers, before: Numbers, after: Numbers) -> Any:
    """Whether a counter, or each of several, started again from zero between two readings.

    It is taken to have done so only where it fell from its upper half to its lower one: two readings that came in the wrong order differ
    by little.

    Args:
        ends: Where it starts again, in joules; infinite where it does not.
        before: The first reading.
        after: The second one.
    """
    return (after < ends / 2) & (before >= ends / 2)


def used_j(counters: Sequence[Counter], before: Sequence[float], after: Sequence[float]) -> Mapping[str, float]:
    """Return the joules by device between two readings of all counters."""
    used: dict[str, float] = {}
    for counter, first, last in zip(counters, before, after, strict=True):
        used[counter.device] = used.get(counter.device, 0.0) + step_j(counter, first, last)
    return used
