"""Heartbeats between the ranks of a program and the process that launched it, by files in a directory of each launch.

A rank whose launcher is gone is ended here; what a launcher does about a silent rank is in `cluster.watch`.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hadamard.model.logs import survived

logger = logging.getLogger(__name__)
DIRECTORY = "HADAMARD_LAUNCH"
"""Names the launch's directory in a rank's environment: in it `launcher` and, by number, a file for each rank, all made by the launcher.
They are written in place and opened for each look: so other machines see a change within seconds on network file systems, too."""
NUMBERS = ("SLURM_PROCID", "PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
"""Where launchers tell a process its number, before any MPI: srun in the first, whatever the MPI."""
BEAT_S = 2.0
LAUNCHER_GONE_S = 45.0
ASK_S = 1.0
LAUNCHER = "launcher"
STOP = "stop"
"""What the launcher's file says when the ranks are to save their work and end."""
LONGEST_LOOK_S = 5.0
GONE = (errno.ENOENT, errno.ESTALE)


@dataclass(frozen=True)
class RankStatus:
    """What a rank says of itself; `step` is its Slurm job's and step's id, `ended` the exit code that it is about to end with."""

    host: str
    pid: int
    step: str | None
    met: bool = False
    ended: int | None = None


def read_status(text: str) -> RankStatus | None:
    """Return what a rank's file says; None before it has said anything, or while it is being written."""
    try:
        return RankStatus(**json.loads(text))
    except (ValueError, TypeError):
        return None


class SuspendAwareTimer:
    """Counts the seconds for which this process has waited, by its looks.

    A look that comes late counts little: a process that was itself stopped for a while, as all of a suspended job are, has not waited.
    """

    def __init__(self) -> None:
        self.seconds, self._looked = 0.0, time.monotonic()

    def look(self) -> float:
        """Return the seconds until now."""
        now = time.monotonic()
        self.seconds += min(now - self._looked, LONGEST_LOOK_S)
        self._looked = now
        return self.seconds


class HeartbeatMonitor:
    """Listens to another process by a file that it touches, judging by this process's own clock and looks."""

    def __init__(self, file: Path) -> None:
        self.file, self.text = file, ""
        self._stamp, self._patience = 0, SuspendAwareTimer()

    def look(self) -> float:
        """Return for how many seconds the file has not changed.

        Raises:
            FileNotFoundError: It is gone.
        """
        seconds = self._patience.look()
        try:
            with open(self.file) as file:
                stamp, self.text = os.fstat(file.fileno()).st_mtime_ns, file.read()
        except OSError as error:
            if error.errno in GONE:
                raise FileNotFoundError(error.errno, "gone", str(self.file)) from error
            return seconds  # a file server that hangs for a moment
        if stamp != self._stamp:
            self._stamp, self._patience.seconds = stamp, 0.0
        return self._patience.seconds


_started: list[Heartbeat] = []


def report_exit(code: int) -> None:
    """Say with which exit code this rank is about to end; launchers mix those of all ranks, and of ranks that are ended for it."""
    for heartbeat in _started:
        heartbeat.end(code)


class Heartbeat:
    """This rank's sign of life, given by a process of its own: much that computes lets no other thread run for minutes."""

    def __init__(self, launch: Path, number: int) -> None:
        self.launch, self.number = launch, number
        job, step = (os.environ.get(name) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
        self.status = RankStatus(socket.gethostname(), os.getpid(), f"{job}.{step}" if job and step else None)
        self._told, self._looked = False, 0.0
        self._beating: subprocess.Popen[bytes] | None = None

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> Heartbeat:
        """Return the heartbeat of this process, by the variables that its launcher has set."""
        return cls(Path(environment[DIRECTORY]), next(int(environment[name]) for name in NUMBERS if name in environment))

    def start(self) -> None:
        """Report this rank, and send heartbeats from now on; before MPI, some of which bears no new processes."""
        self.report(self.status)
        command = [sys.executable, "-m", "hadamard.model.mpi.heartbeat", str(self.launch), str(self.number), str(os.getpid())]
        self._beating = subprocess.Popen(command, stdin=subprocess.PIPE)  # which closes when this process ends, however it does
        _started.append(self)

    def report(self, status: RankStatus) -> None:
        """Write this rank's status, for its launcher to read."""
        self.status = status
        file = self.launch / str(self.number)
        with survived(logger, "this rank's state cannot be written: its launcher does not see it", OSError), open(file, "r+") as state:
            state.write(json.dumps(asdict(status)))
            state.truncate()

    def meet(self) -> None:
        """Report that all ranks have met."""
        self.report(replace(self.status, met=True))

    def end(self, code: int) -> None:
        """Report that this rank is about to end, and send no more heartbeats."""
        self.report(replace(self.status, ended=code))
        if self._beating is not None:
            self._beating.kill()
            self._beating.wait()

    def should_stop(self) -> bool:
        """Whether the launcher has said that the ranks are to stop; may be asked as often as one likes."""
        if not self._told and time.monotonic() - self._looked > ASK_S:
            self._looked = time.monotonic()
            with survived(logger, "the launcher's file cannot be read: a stop is seen later", OSError):
                self._told = (self.launch / LAUNCHER).read_text() == STOP
        return self._told


def beat(launch: Path, number: int, rank: int) -> None:
    """Beat for a process as long as it lives, unless it is stopped; if its launcher is gone, end it.

    That is done at once, whatever it is at: nobody would tell it to stop, and another launch may have its work.
    """
    launcher = HeartbeatMonitor(launch / LAUNCHER)
    while not select.select([sys.stdin], [], [], BEAT_S)[0]:
        if is_stopped(rank):
            continue
        try:
            silence, why = launcher.look(), f"the process that launched it gave no sign of life for {LAUNCHER_GONE_S:g} s"
            os.utime(launch / str(number))
        except OSError as error:
            if error.errno not in GONE:
                continue
            silence, why = math.inf, "this launch is over, its directory is gone"
        if silence > LAUNCHER_GONE_S:
            print(f"rank {number} is ended: {why}", file=sys.stderr, flush=True)
            os.kill(rank, signal.SIGKILL)
            return


def is_stopped(pid: int) -> bool:
    """Whether a process has been stopped, as by SIGSTOP."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    except OSError:
        return False


if __name__ == "__main__":
    beat(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
