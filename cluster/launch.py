"""Launches one pack as a process of its own, stops it in good order when told to, and says how it ended.

Owns the command, the process's environment and the cause of its end. Does not own retries, what the pack holds, or why it is to stop.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.allocation import GPU_MASKS
from cluster.oom import oom_kills
from model.errors import EXIT_DISK_FULL, EXIT_STOPPED, EXIT_USER_ERROR
from model.journal import PackFiles

Cause = Literal["stopped", "killed", "crashed", "out of memory", "bad input", "disk full", "error"]
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
"""Loaded here, since loading after a fork of a process with threads may hang."""
LOG_TAIL_BYTES = 4000
LATE_WORD_S = 5.0
STOP_GRACE_S = 45.0
"""How long a process that was told to stop may take for its epoch and its checkpoints."""


@dataclass(frozen=True)
class Outcome:
    """How a pack's process ended.

    Attributes:
        cause: None if it ended well; `stopped` if it was told to, and left some of its trials for later.
        message: Exit code or signal in words, with the end of the log; of a stopped one, why it was to stop.
    """

    cause: Cause | None
    message: str


def command(pack_directory: Path, threads: int) -> list[str]:
    """Return the command that trains a pack in one process on this node."""
    return [sys.executable, "-m", "model.train", str(pack_directory), str(threads)]


def environment(threads: int, gpus: int) -> dict[str, str]:
    """Return the process's environment: this one's, with the numerical libraries held to so many threads.

    A process that has a GPU sees those that this one sees, which in a Ray worker is the one that Ray gave; one without sees none.
    """
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    hidden = {} if gpus else dict.fromkeys(GPU_MASKS, "")
    return {**os.environ, **limits, **hidden, "PYTHONSAFEPATH": "1"}


def run_pack(
    pack_directory: Path,
    working_directory: Path,
    threads: int,
    gpus: int,
    while_running: Callable[[], None],
    must_stop: Callable[[], str | None],
) -> Outcome:
    """Run a pack to its end, or until it must stop, its output going to `log.txt` in its directory.

    Args:
        pack_directory: Holds `pack.json`.
        working_directory: Where the user gave the command: relative paths in the study and the environment mean this one.
        threads: For the numerical libraries.
        gpus: Of those that this process sees, for the pack's; 0 hides them.
        while_running: Called about once a second.
        must_stop: Asked about once a second; why the process is to save its work and end now, or None.
    """
    log, kills_before = PackFiles(pack_directory).log, oom_kills()
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command(pack_directory, threads),
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=working_directory,
            env=environment(threads, gpus),
            preexec_fn=functools.partial(_die_with, os.getpid()),
        )
        stop = None
        try:
            while process.poll() is None:
                if stop := must_stop():
                    process.terminate()
                    _wait(process, STOP_GRACE_S)
                    break
                while_running()
                _wait(process, 1.0)
        finally:
            process.kill()
            process.wait()
    if stop is None and process.returncode in (EXIT_STOPPED, -signal.SIGTERM, -signal.SIGKILL):
        stop = _late_word(must_stop)
    return outcome(process.returncode, _tail(log), stop, (oom_kills() or 0) > (kills_before or 0))


def outcome(returncode: int, log_tail: str, stop: str | None = None, oom: bool = False) -> Outcome:
    """Name the cause of a process's end.

    Args:
        returncode: As of `subprocess`: the exit code, or the signal below zero.
        log_tail: The end of its log.
        stop: Why it was told to stop, if it was.
        oom: Whether Linux killed a process of its control group for want of memory while it ran.
    """
    if returncode == 0:
        return Outcome(None, "")
    if returncode == -signal.SIGKILL and oom:
        return Outcome("out of memory", "killed by Linux for want of memory; fewer qubits or a smaller training.batch need less")
    if returncode in (EXIT_STOPPED, -signal.SIGTERM, -signal.SIGKILL) and stop is not None:
        return Outcome("stopped", stop)
    if returncode == EXIT_STOPPED:
        return Outcome("killed", "ended by SIGTERM from outside, with everything saved")
    if returncode == -signal.SIGKILL:
        return Outcome("killed", "killed by SIGKILL: by hand, or by Linux for want of memory where that is not counted")
    if returncode < 0:
        return Outcome(
            "killed" if returncode in (-signal.SIGTERM, -signal.SIGINT) else "crashed",
            f"ended by {signal.Signals(-returncode).name}. {log_tail}",
        )
    causes: dict[int, Cause] = {EXIT_USER_ERROR: "bad input", EXIT_DISK_FULL: "disk full"}
    return Outcome(causes.get(returncode, "error"), f"exit code {returncode}. {log_tail}")


def _late_word(must_stop: Callable[[], str | None]) -> str | None:
    """Return why all stops, if that is said soon: Slurm ends a job by signals to all its processes at once, this one and the driver."""
    deadline = time.monotonic() + LATE_WORD_S
    while (stop := must_stop()) is None and time.monotonic() < deadline:
        time.sleep(0.2)
    return stop


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when the one that launched it dies, even by kill -9: no orphan trains on.

    Ctrl-C, which a terminal sends to all processes, is for the driver to act on.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it could be watched
        os.kill(os.getpid(), signal.SIGKILL)


def _tail(log: Path) -> str:
    return log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
