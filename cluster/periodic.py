"""A thread that does something again and again: heartbeats, meters, progress, shipping, budgets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Periodic:
    """Calls a function every so many seconds in a daemon thread, from the first interval on until it is stopped.

    An exception of the function is not caught: who wants to go on after one says so inside (`hadamard.model.logs.survived`).
    """

    def __init__(self, name: str, interval_s: float, work: Callable[[], object]) -> None:
        self.interval_s, self._work = interval_s, work
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> Self:
        """Begin; return itself."""
        self._thread.start()
        return self

    def stop(self, timeout_s: float | None = None) -> bool:
        """Call no more, and wait for a call that is under way; return whether it has ended within the time."""
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
        while not self._stopped.wait(self.interval_s):
            self._work()
