"""Signals to the driver: the first one stops the study in good order, a second one, or too long a wait, at once.

Owns the handlers of SIGINT, SIGTERM and SIGUSR1 while a study runs. Does not own what stopping means for packs, nor its causes.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
SAME_WORD_S = 1.0
"""Within this time a second signal is the first one's echo: Slurm signals all of a job's processes, and its script passes signals on."""


class Stopping:
    """Handles signals while it is entered; in the main thread only.

    Attributes:
        told: Whether a signal has come.
    """

    def __init__(self, stop: Callable[[int], None], grace_s: float) -> None:
        """Prepare.

        Args:
            stop: Called with the first signal's number; tells all that runs to stop.
            grace_s: So long after the first signal what still runs is interrupted by KeyboardInterrupt.
        """
        self.told = self._patient = False
        self._stop, self._grace_s = stop, grace_s
        self._told_at = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        self._before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
        self._handle()
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def graceful(self) -> Iterator[None]:
        """Here what runs stops by itself once told: only a second signal, or the end of the grace, raises KeyboardInterrupt."""
        self._handle()  # again: Ray has put its own in place
        self._patient = True
        try:
            yield
        finally:
            self._patient = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _handle(self) -> None:
        for number in (*SIGNALS, signal.SIGALRM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == signal.SIGALRM:
            raise KeyboardInterrupt
        if self.told:
            if now - self._told_at < SAME_WORD_S:
                return
            raise KeyboardInterrupt
        self.told, self._told_at = True, now
        if self._patient:
            signal.setitimer(signal.ITIMER_REAL, self._grace_s)
        self._stop(number)
        if not self._patient:
            raise KeyboardInterrupt
