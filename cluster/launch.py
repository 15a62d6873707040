"""Launches one pack as a process of its own, or as several ranks, stops it gracefully when told to, and names the cause of its end.

The commands that start ranks are in `launchers`, their supervision in `watch`.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hadamard.cluster.allocation import GPU_MASKS
from hadamard.cluster.mpi import RankPlacement, known_library, launch_command, launch_environment
from hadamard.cluster.oom import oom_kills
from hadamard.cluster.watch import Trouble, Watch
from hadamard.model.errors import EXIT_DISK_FULL, EXIT_OUT_OF_MEMORY, EXIT_STOPPED, EXIT_USER_ERROR, UserError
from hadamard.model.files.causes import Cause
from hadamard.model.files.trial_files import PackFiles

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
"""Loaded here, since loading after a fork of a process with threads may hang."""
LOG_TAIL = 4000
OOM_IN_STEP = "oom_kill event"
"""In what Slurm says when Linux has killed a rank for want of memory, on whatever node."""
LATE_REASON_S = 5.0
STOP_GRACE_S = 45.0
"""How long a process that was told to stop may take for its epoch and its checkpoints."""


@dataclass(frozen=True)
class Outcome:
    """How a pack's process ended.

    Attributes:
        cause: None if it ended well; STOPPED if it was told to, and left some of its trials for later.
        message: Exit code or signal in words, with the end of the log; of a stopped one, the reason of the stop.
    """

    cause: Cause | None
    message: str


def command(pack_directory: Path, threads: int, ranks: int = 1, shards: int = 1) -> list[str]:
    """Return the command of the process that trains a pack, or of each of its ranks."""
    return [sys.executable, "-m", "hadamard.model.train", str(pack_directory), str(threads), str(ranks), str(shards)]


def environment(threads: int, gpus: int) -> dict[str, str]:
    """Return the process's environment: this one's, with the numerical libraries held to this many threads.

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
    stop_reason: Callable[[], str | None],
    places: RankPlacement | None = None,
) -> Outcome:
    """Run a pack to its end, or until it must stop, its output going to `log.txt` in its directory.

    Args:
        pack_directory: Holds `pack.json`.
        working_directory: Where the user gave the command: relative paths in the study and the environment mean this one.
        threads: For the numerical libraries.
        gpus: Of those that this process sees, for the pack's; 0 hides them.
        while_running: Called about once a second.
        stop_reason: Asked about once a second; why the process is to save its work and end now, or None.
        places: Of the ranks of an MPI program; None for one process.
    """
    log = PackFiles(pack_directory).log
    with ExitStack() as stack:
        output = stack.enter_context(open(log, "ab"))
        own, watch, begin = environment(threads, gpus), None, output.tell()
        words = command(pack_directory, threads)
        if places is not None:
            watch = stack.enter_context(Watch.over(pack_directory, places))
            try:
                words = watch.command = _ranks_command(pack_directory, threads, places, gpus)
            except UserError as error:
                return Outcome(Cause.BAD_INPUT, str(error))
            own = launch_environment(places, {**own, **watch.variables}, watch.host_file)
        kills_before = oom_kills()
        process = subprocess.Popen(
            words,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=working_directory,
            env=own,
            preexec_fn=functools.partial(_die_with, os.getpid(), signal.SIGTERM if watch else signal.SIGKILL),
        )
        stop, trouble = _attend(process, watch, while_running, stop_reason)
        said = _since(log, begin)
        returncode = watch.returncode(process.returncode, said) if watch else process.returncode
    tail = said[-LOG_TAIL:]
    by_others = trouble is None or trouble.cause == Cause.KILLED
    if stop is None and returncode in (EXIT_STOPPED, -signal.SIGTERM, -signal.SIGKILL) and by_others:
        stop = _late_reason(stop_reason)
    if trouble is not None and stop is None and returncode == -signal.SIGKILL:
        return Outcome(trouble.cause, f"{trouble.message}. {tail}")
    return outcome(returncode, tail, stop, (oom_kills() or 0) > (kills_before or 0) or OOM_IN_STEP in said)


def _ranks_command(pack_directory: Path, threads: int, places: RankPlacement, gpus: int) -> list[str]:
    """Return the command that starts a pack's ranks; Slurm would show each all GPUs of its job."""
    words = command(pack_directory, threads, len(places.hosts), places.shards)
    hidden = [] if gpus else ["env", *(f"{mask}=" for mask in GPU_MASKS)]
    return launch_command(places, [*hidden, *words], known_library(), threads)


def _attend(
    process: subprocess.Popen[bytes], watch: Watch | None, while_running: Callable[[], None], stop_reason: Callable[[], str | None]
) -> tuple[str | None, Trouble | None]:
    """Supervise a process to its end, at the latest until it was told to stop and its time for that is over, or ranks are in trouble.

    Returns the reason of a stop, if there was one, and the trouble with ranks.
    """
    stop, trouble, deadline = None, None, math.inf
    try:
        while process.poll() is None and trouble is None and time.monotonic() < deadline:
            if stop is None and (stop := stop_reason()) is not None:
                deadline = time.monotonic() + STOP_GRACE_S
                watch.tell_to_stop() if watch else process.terminate()
            elif stop is None:
                while_running()
            trouble = watch.look() if watch else None
            _wait(process, 1.0)
    finally:
        if watch:
            watch.end(process)
        process.kill()
        process.wait()
    return stop, trouble


def outcome(returncode: int, log_tail: str, stop: str | None = None, oom: bool = False) -> Outcome:
    """Name the cause of a process's end.

    Args:
        returncode: As of `subprocess`: the exit code, or the signal below zero.
        log_tail: The end of its log.
        stop: The reason of a stop, if it was told to stop.
        oom: Whether Linux killed a process of its control group for want of memory while it ran.
    """
    if returncode == 0:
        return Outcome(None, "")
    if returncode == -signal.SIGKILL and oom:
        return Outcome(Cause.OUT_OF_MEMORY, "killed by Linux for want of memory; fewer qubits or a smaller training.batch need less")
    if returncode in (EXIT_STOPPED, -signal.SIGTERM, -signal.SIGKILL) and stop is not None:
        return Outcome(Cause.STOPPED, stop)
    if returncode == EXIT_STOPPED:
        return Outcome(Cause.KILLED, "ended by SIGTERM from outside, with everything saved")
    if returncode == -signal.SIGKILL:
        return Outcome(Cause.KILLED, "killed by SIGKILL: by hand, or by Linux for want of memory where that is not counted")
    if -returncode in signal.valid_signals():
        return Outcome(
            Cause.KILLED if returncode in (-signal.SIGTERM, -signal.SIGINT) else Cause.CRASHED,
            f"ended by {signal.Signals(-returncode).name}. {log_tail}",
        )
    causes = {EXIT_USER_ERROR: Cause.BAD_INPUT, EXIT_DISK_FULL: Cause.DISK_FULL, EXIT_OUT_OF_MEMORY: Cause.OUT_OF_MEMORY}
    return Outcome(causes.get(returncode, Cause.ERROR), f"exit code {returncode}. {log_tail}")


def _late_reason(stop_reason: Callable[[], str | None]) -> str | None:
    """Return the reason of a stop if one is given soon: Slurm signals all of a job's processes at once, this one and the driver."""
    deadline = time.monotonic() + LATE_REASON_S
    while (stop := stop_reason()) is None and time.monotonic() < deadline:
        time.sleep(0.2)
    return stop


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _die_with(parent: int, by: signal.Signals) -> None:
    """Have the kernel end this process when the one that launched it dies, even by kill -9: no orphan trains on.

    Launchers of ranks need a signal that they can act on: srun, when killed, leaves its step alive. Ctrl-C, which a terminal sends to all
    processes, is for the driver to act on.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    LIBC.prctl(PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:  # it died before it could be watched
        os.kill(os.getpid(), signal.SIGKILL)


def _since(log: Path, begin: int) -> str:
    """Return all that was written to a log from some place on: launchers name the first death first, and may say much after it."""
    with open(log, "rb") as file:
        file.seek(begin)
        return file.read().decode(errors="replace").strip()
