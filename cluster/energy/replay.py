"""A meter that says what another one said before: a recorded trace, at the time of now.

Owns the replay. Does not own the format (trace.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hadamard.cluster.energy.meters import MeterError, Method
from hadamard.cluster.energy.trace import read_trace


class Replay:
    """Replays a trace."""

    method: Method = "replay"

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

    def read(self) -> tuple[float, ...]:
        """Return the joules at the clock's time, by straight lines between the trace's readings."""
        now = self._clock()
        joules = tuple(float(self._trace.at([now], column)[0]) for column in range(len(self.counters)))
        if any(value != value for value in joules):
            raise MeterError(f"the trace {self._file} has no reading at {now:.1f}")
        return joules
