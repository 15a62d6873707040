"""Launches one pack as a process of its own and says how it ended.

Owns the command, the process's environment and the cause of its end. Does not own retries or what the pack holds.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.allocation import GPU_MASKS
from model.errors import EXIT_DISK_FULL, EXIT_USER_ERROR
from model.journal import PackFiles

Cause = Literal["killed", "crashed", "bad input", "disk full", "error"]
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
"""Loaded here, since loading after a fork of a process with threads may hang."""
LOG_TAIL_BYTES = 4000


@dataclass(frozen=True)
class Outcome:
    """How a pack's process ended.

    Attributes:
        cause: None if it ended well.
        message: Exit code or signal in words, with the end of the log.
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


def run_pack(pack_directory: Path, working_directory: Path, threads: int, gpus: int, while_running: Callable[[], None]) -> Outcome:
    """Run a pack to its end, its output going to `log.txt` in its directory.

    Args:
        pack_directory: Holds `pack.json`.
        working_directory: Where the user gave the command: relative paths in the study and the environment mean this one.
        threads: For the numerical libraries.
        gpus: Of those that this process sees, for the pack's; 0 hides them.
        while_running: Called about once a second.
    """
    log = PackFiles(pack_directory).log
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
        try:
            while process.poll() is None:
                while_running()
                _wait(process, 1.0)
        finally:
            process.kill()
            process.wait()
    return outcome(process.returncode, _tail(log))


def outcome(returncode: int, log_tail: str) -> Outcome:
    """Name the cause of a process's end from its exit code."""
    if returncode == 0:
        return Outcome(None, "")
    if returncode == -signal.SIGKILL:
        return Outcome("killed", "killed by SIGKILL: by the kernel for want of memory, or by hand")
    if returncode < 0:
        return Outcome(
            "killed" if returncode in (-signal.SIGTERM, -signal.SIGINT) else "crashed",
            f"ended by {signal.Signals(-returncode).name}. {log_tail}",
        )
    causes: dict[int, Cause] = {EXIT_USER_ERROR: "bad input", EXIT_DISK_FULL: "disk full"}
    return Outcome(causes.get(returncode, "error"), f"exit code {returncode}. {log_tail}")


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when the one that launched it dies, even by kill -9: no orphan trains on."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it could be watched
        os.kill(os.getpid(), signal.SIGKILL)


def _tail(log: Path) -> str:
    return log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
