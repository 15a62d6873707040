"""The contract of meters: running counts of joules, each of some device of a node. The meters there are: registry.py."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Numbers = float | NDArray[np.float64]

Method = Literal["counter", "modelled", "replay"]
"""Hardware counted it; it was computed from CPU seconds and stated watts; or it was recorded earlier."""
METHOD_WORDS: Mapping[Method, str] = {"counter": "measured", "modelled": "modelled", "replay": "replayed"}
CPU, GPUS = "cpu", "gpu"
"""Devices: whatever works for the node's cores; all of its GPUs together. One GPU is `gpu:0`, by its number or UUID."""
SHORTEST_WINDOW_S = 10.0
"""Counters tick about every 100 ms and GPUs sample only part of the time: below this, a window says little."""


class MeterError(Exception):
    """A meter cannot be read, or no longer."""


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


@dataclass(frozen=True)
class Host:
    """Where meters are looked for.

    Attributes:
        environment: The variables of this process.
        root: What stands for `/`; tests put a tree of files in its place.
    """

    environment: Mapping[str, str]
    root: Path


class HardwareMeter(ABC):
    """A meter that a node may have: used where its hardware is, unless an earlier one of the registry counts its device."""

    method: Method = "counter"
    hardware: ClassVar[str]
    """What it needs, to complete "this machine has no ..."."""
    device: ClassVar[str]
    """`cpu` or `gpu`."""
    counters: tuple[Counter, ...]

    @abstractmethod
    def __init__(self, host: Host, uncounted: Collection[str]) -> None:
        """Open the counters.

        Args:
            host: Where they are.
            uncounted: The devices, of `cpu` and `gpu`, that no other meter of this node counts; its own is among them.

        Raises:
            MeterError: They cannot be read.
        """

    @classmethod
    @abstractmethod
    def is_there(cls, host: Host) -> bool:
        """Whether the hardware is there; asked by plans, so it takes milliseconds."""

    @classmethod
    def problem(cls, host: Host) -> str:
        """Return why hardware that is there cannot be read, and what to do; an empty string if nothing is known against it."""
        return ""

    @abstractmethod
    def read(self) -> tuple[float, ...]:
        """Return the joules of each counter; see `Meter`."""


class RequestedMeter(ABC):
    """A meter that is used where a user names it: `HADAMARD_ENERGY=NAME:VALUE`."""

    method: Method
    name: ClassVar[str]
    usage: ClassVar[str]
    """What to write, for messages: `modelled:WATTS, the watts of a busy core`."""
    counters: tuple[Counter, ...]
    core_w: float | None = None
    """Watts of a busy core, where the user states them."""

    @classmethod
    @abstractmethod
    def requested(cls, value: str, environment: Mapping[str, str]) -> Self:
        """Open it.

        Raises:
            MeterError, ValueError: It cannot be, with the reason.
        """

    @abstractmethod
    def read(self) -> tuple[float, ...]:
        """Return the joules of each counter; see `Meter`."""


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
