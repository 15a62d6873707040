"""When to save checkpoints: not too often, and at most a fraction of the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class CheckpointTimer:
    """Says when the next checkpoint is due.

    On the file systems of clusters a single checkpoint may take tens of milliseconds, so the interval grows with what they take.
    """

    def __init__(self, every_s: float = 5.0, max_fraction: float = 0.1, clock: Callable[[], float] = time.monotonic) -> None:
        """Start now.

        Args:
            every_s: Least seconds between two checkpoints.
            max_fraction: Of the time, taken by checkpoints.
            clock: Returns the time in seconds.
        """
        self._every_s, self._max_fraction, self._clock = every_s, max_fraction, clock
        self._interval_s = every_s
        self._saved_s = clock()

    @property
    def is_due(self) -> bool:
        """Whether the interval since the last checkpoint is over."""
        return self._clock() - self._saved_s > self._interval_s

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure how long it takes to save, and begin the next interval."""
        begin_s = self._clock()
        yield
        self._saved_s = self._clock()
        self._interval_s = max(self._every_s, (self._saved_s - begin_s) / self._max_fraction)
