"""SIGINT, SIGTERM, SIGHUP and SIGUSR1 to the driver: the first one stops the study gracefully, a second, or too long a wait, at once."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
ECHO_S = 1.0
"""Within this time a second signal is the first one's echo: Slurm signals all of a job's processes, and its script passes signals on."""


class StopSignals:
    """Handles signals while it is entered; in the main thread only.

    Attributes:
        received: Whether a signal has come.
    """

    def __init__(self, stop: Callable[[int], None], grace_s: float) -> None:
        """Prepare.

        Args:
            stop: Called with the first signal's number; requests the stop of everything that runs.
            grace_s: Seconds after the first signal until a KeyboardInterrupt ends what still runs.
        """
        self.received = self._graceful = False
        self._stop, self._grace_s = stop, grace_s
        self._received_at = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
        self._handle()
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def graceful(self) -> Iterator[None]:
        """Here work stops by itself on request: only a second signal, or the end of the grace, raises KeyboardInterrupt."""
        self._handle()  # again: Ray has put its own in place
        self._graceful = True
        try:
            yield
        finally:
            self._graceful = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _handle(self) -> None:
        for number in (*SIGNALS, signal.SIGALRM):
            if (number, self._before[number]) != (signal.SIGHUP, signal.SIG_IGN):  # under nohup it goes on without its terminal
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == signal.SIGHUP:
            _leave_terminal()
        if number == signal.SIGALRM:
            raise KeyboardInterrupt
        if self.received:
            if now - self._received_at < ECHO_S:
                return
            raise KeyboardInterrupt
        self.received, self._received_at = True, now
        if self._graceful:
            signal.setitimer(signal.ITIMER_REAL, self._grace_s)
        self._stop(number)
        if not self._graceful:
            raise KeyboardInterrupt


def _leave_terminal() -> None:
    """Print into nothing from now on: to write to a terminal that has hung up, and no longer says that it is one, is an error."""
    for stream in (0, 1, 2):
        if stat.S_ISCHR(os.fstat(stream).st_mode):
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, stream)
            os.close(nothing)
