"""Signs of life between the ranks of a program and the process that launched it, by files in a directory that each launch has of its own.

Owns what these files are and say, how silence is measured, and that a rank whose launcher is gone ends itself. Does not own MPI, nor what
a launcher does about a silent rank.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

DIRECTORY = "HADAMARD_LAUNCH"
"""Names the launch's directory in a rank's environment: in it `launcher` and, by number, a file for each rank, all made by the launcher.
They are written in place and opened for each look: so other machines see a change within seconds on network file systems, too."""
NUMBERS = ("SLURM_PROCID", "PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
"""Where launchers tell a process its number, before any MPI: srun in the first, whatever the MPI."""
BEAT_S = 2.0
LAUNCHER_GONE_S = 45.0
STOP = "stop"
"""What the launcher's file says when the ranks are to save their work and end."""
LONGEST_LOOK_S = 5.0
GONE = (errno.ENOENT, errno.ESTALE)


@dataclass(frozen=True)
class Word:
    """What a rank says of itself; `step` is its Slurm job's and step's id, `ended` the exit code that it is about to end with."""

    host: str
    pid: int
    step: str | None
    met: bool = False
    ended: int | None = None


def read_word(text: str) -> Word | None:
    """Return what a rank's file says; None before it has said anything, or while it is being written."""
    try:
        return Word(**json.loads(text))
    except (ValueError, TypeError):
        return None


class Silence:
    """Listens to another process by a file that it touches, judging by this process's own clock and looks.

    A look that comes late counts little: a process that was itself stopped for a while, as all of a suspended job are, has not listened.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.seconds, self.text = file, 0.0, ""
        self._stamp, self._looked = 0, time.monotonic()

    def look(self) -> float:
        """Return for how many seconds the file has not changed.

        Raises:
            FileNotFoundError: It is gone.
        """
        now = time.monotonic()
        self.seconds += min(now - self._looked, LONGEST_LOOK_S)
        self._looked = now
        try:
            with open(self.file) as file:
                stamp, self.text = os.fstat(file.fileno()).st_mtime_ns, file.read()
        except OSError as error:
            if error.errno in GONE:
                raise FileNotFoundError(error.errno, "gone", str(self.file)) from error
            return self.seconds  # a file server that hangs for a moment
        if stamp != self._stamp:
            self._stamp, self.seconds = stamp, 0.0
        return self.seconds


_started: list[Pulse] = []


def last_word(code: int) -> None:
    """Say with which exit code this rank is about to end; launchers mix those of all ranks, and of ranks that are ended for it."""
    for pulse in _started:
        pulse.say(ended=code)


class Pulse:
    """This rank's sign of life; its thread beats until the process ends, unless the launcher is gone: then it ends the process."""

    def __init__(self, launch: Path, number: int) -> None:
        self.number, self.file, self.launcher = number, launch / str(number), Silence(launch / "launcher")
        job, step = (os.environ.get(name) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
        self.word = Word(socket.gethostname(), os.getpid(), f"{job}.{step}" if job and step else None)
        self._told = threading.Event()

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> Pulse:
        """Return the pulse of this process, as its launcher has told it by the environment."""
        return cls(Path(environment[DIRECTORY]), next(int(environment[name]) for name in NUMBERS if name in environment))

    def start(self) -> None:
        """Say who this is, and beat from now on."""
        self.say()
        _started.append(self)
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    def say(self, *, met: bool | None = None, ended: int | None = None) -> None:
        """Say that all ranks have met, or that this one is about to end, and with which exit code."""
        self.word = replace(self.word, met=self.word.met if met is None else met, ended=ended)
        with contextlib.suppress(OSError), open(self.file, "r+") as file:
            file.write(json.dumps(asdict(self.word)))
            file.truncate()

    def told_to_stop(self) -> bool:
        """Whether the launcher has said that the ranks are to stop."""
        return self._told.is_set()

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_S)
            try:
                silence = self.launcher.look()
                os.utime(self.file)
            except OSError as error:
                if error.errno in GONE:
                    self._end("this launch is over, its directory is gone")
                continue
            if silence > LAUNCHER_GONE_S:
                self._end(f"the process that launched it gave no sign of life for {LAUNCHER_GONE_S:g} s")
            if self.launcher.text == STOP:
                self._told.set()

    def _end(self, why: str) -> None:
        """End at once, whatever the other threads do: nobody would tell these ranks to stop, and another launch may have their work."""
        print(f"rank {self.number} ends itself: {why}", file=sys.stderr, flush=True)
        os._exit(1)
