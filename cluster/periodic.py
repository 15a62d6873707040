"""A thread that does something again and again: heartbeats, meters, progress, MLflow, budgets."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Periodic:
    """Calls a function every this many seconds in a daemon thread, from the first interval on until it is stopped.

    An exception of the function is not caught: who wants to go on after one says so inside (`hadamard.model.logs.survived`).
    """

    def __init__(self, name: str, interval_s: float, work: Callable[[], object], most_share: float = math.inf) -> None:
        """Prepare.

        Args:
            name: Of the thread.
            interval_s: Between two calls.
            work: What is called.
            most_share: Of the time that calls may take: after a long one the next is put off.
        """
        self._interval_s, self._work, self._most_share = interval_s, work, most_share
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> Self:
        """Begin; return itself."""
        self._thread.start()
        return self

    def stop(self, timeout_s: float | None = None) -> bool:
        """Call no more, and wait for a running call; return whether it has ended within the time."""
        self._stopped.set()
        if self._thread is not threading.current_thread() and self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop: long work may ask."""
        return self._stopped.is_set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _run(self) -> None:
        took_s = 0.0
        while not self._stopped.wait(max(self._interval_s, took_s / self._most_share)):
            began_s = time.monotonic()
            self._work()
            took_s = time.monotonic() - began_s
