"""Signals to the driver: the first one stops gracefully, the second one, or too long a wait, at once."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hadamard.orchestrator.execution import signals as module
from hadamard.orchestrator.execution.signals import StopSignals


@pytest.fixture(autouse=True)
def no_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ECHO_S", 0.0)


@pytest.fixture(autouse=True)
def terminal() -> Iterator[None]:
    """As where a terminal is at hand, also if the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", module.SIGNALS)
def test_the_first_signal_is_passed_on_and_the_second_one_interrupts(number: int) -> None:
    received: list[int] = []
    with StopSignals(received.append, 60.0) as signals, signals.graceful():
        assert not signals.received
        os.kill(os.getpid(), number)
        assert received == [number]
        assert signals.received
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert received == [number]


def test_where_nothing_stops_by_itself_the_first_signal_interrupts() -> None:
    received: list[int] = []
    with StopSignals(received.append, 60.0), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    assert received == [signal.SIGTERM]


def test_what_does_not_stop_in_time_is_interrupted() -> None:
    begin = time.monotonic()
    with StopSignals(lambda _number: None, 0.3) as signals, signals.graceful():
        os.kill(os.getpid(), signal.SIGUSR1)
        with pytest.raises(KeyboardInterrupt):
            time.sleep(30)
    assert 0.25 < time.monotonic() - begin < 10


def test_an_echo_of_the_first_signal_is_not_a_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ECHO_S", 60.0)
    received: list[int] = []
    with StopSignals(received.append, 60.0) as signals, signals.graceful():
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1):
            os.kill(os.getpid(), number)
    assert received == [signal.SIGTERM]


def test_handlers_and_clock_are_as_before_in_the_end() -> None:
    before = [signal.getsignal(number) for number in (*module.SIGNALS, signal.SIGALRM)]
    with StopSignals(lambda _number: None, 60.0) as signals, signals.graceful():
        os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in (*module.SIGNALS, signal.SIGALRM)] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_under_nohup_a_lost_terminal_is_nothing() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals(received.append, 60.0) as signals, signals.graceful():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert received == []


HANG_UP = """
import os, signal, sys
from hadamard.orchestrator.execution.signals import StopSignals

with StopSignals(lambda number: open(sys.argv[1], "w").close(), 60.0) as signals, signals.graceful():
    print("ready", flush=True)
    while not signals.received:
        signal.sigtimedwait([], 0.1)
    print("a report", flush=True)
open(sys.argv[1], "a").write("to the end")
"""


def test_after_its_terminal_is_lost_a_run_prints_into_nothing_and_ends_as_ever(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    word = tmp_path / "word"
    command, errors = [sys.executable, "-c", HANG_UP, str(word)], tmp_path / "errors"
    with open(errors, "w") as file:
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=file, start_new_session=True)
    os.close(theirs)
    assert b"ready" in os.read(ours, 100)
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.wait(30) == 0, errors.read_text()
    assert word.read_text() == "to the end"
