"""A meter that repeats what another one recorded: a trace (trace.py), at the time of now."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

from hadamard.cluster.energy.base import MeterError, Method, RequestedMeter
from hadamard.cluster.energy.trace import read_trace
from hadamard.cluster.node_drain import node_name


class Replay(RequestedMeter):
    """Replays a trace."""

    method: Method = "replay"
    name: ClassVar[str] = "replay"
    usage: ClassVar[str] = "replay:TRACE.csv ({host} in it stands for the node's name)"

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        """Read it.

        Raises:
            MeterError: It is no trace.
        """
        try:
            self._trace = read_trace(file)
        except (OSError, ValueError) as error:
            raise MeterError(f"{file} is not a trace to replay (docs/energy.md): {error}") from error
        self._file, self._clock = file, clock
        self.counters = tuple(replace(counter, wraps_at_j=None) for counter in self._trace.counters)

    @classmethod
    def requested(cls, value: str, environment: Mapping[str, str]) -> Self:
        """Open the trace at a path, in which `{host}` stands for the node's name."""
        try:
            return cls(Path(value.format(host=node_name(environment))))
        except (LookupError, AttributeError) as error:
            raise ValueError(f"the path names something other than {{host}}: {error}") from error

    def read(self) -> tuple[float, ...]:
        """Return the joules at the clock's time, by straight lines between the trace's readings."""
        now = self._clock()
        joules = tuple(float(self._trace.at([now], column)[0]) for column in range(len(self.counters)))
        if any(value != value for value in joules):
            raise MeterError(f"the trace {self._file} has no reading at {now:.1f}")
        return joules
