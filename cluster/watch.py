"""Supervision of the ranks that this process has launched: whether they have met, whether each lives, how they ended; and their end.

The files of a launch's directory are described in `model.mpi.heartbeat`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hadamard.cluster.launchers.registry import first_death
from hadamard.cluster.mpi import RankPlacement
from hadamard.cluster.periodic import Periodic
from hadamard.model.errors import EXIT_STOPPED
from hadamard.model.files.causes import Cause
from hadamard.model.logs import survived
from hadamard.model.mpi.heartbeat import DIRECTORY, LAUNCHER, STOP, HeartbeatMonitor, RankStatus, SuspendAwareTimer, read_status

START_S = 120.0
"""From the launch until all ranks have met, the loading of Python and its libraries included, on a network file system too."""
HEARTBEAT_S = 1.0
SILENT_S = 30.0
END_S = 10.0
CANCEL_S = 20.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trouble:
    """Why ranks have to be ended."""

    cause: Cause
    message: str


class Watch:
    """The ranks of one launch, from before it until all have ended."""

    def __init__(self, directory: Path, places: RankPlacement) -> None:
        self.directory, self.places = directory, places
        self.launcher, self.host_file = directory / LAUNCHER, directory / "hosts"
        self._ranks = [HeartbeatMonitor(directory / str(rank)) for rank in range(len(places.hosts))]
        self._statuses: list[RankStatus | None] = [None] * len(places.hosts)
        self._start, self._met, self._ended_by_us = SuspendAwareTimer(), False, False
        self.command: Sequence[str] = ()

    @classmethod
    @contextmanager
    def over(cls, pack_directory: Path, places: RankPlacement) -> Iterator[Watch]:
        """Make the directory of a launch of a pack, and remove it at its end; until then, show the ranks that this process lives.

        Those of earlier launches are removed now: ranks that were left alive when their launcher was killed see that and end themselves.
        """
        launches = pack_directory / "ranks"
        shutil.rmtree(launches, ignore_errors=True)
        directory = launches / f"{os.getpid()}-{time.time_ns()}"
        directory.mkdir(parents=True)
        for rank in range(len(places.hosts)):
            (directory / str(rank)).touch()
        (directory / LAUNCHER).touch()
        (directory / "hosts").write_text("".join(f"{host}\n" for host in places.hosts))
        watch = cls(directory, places)
        try:
            with Periodic("heartbeat for ranks", HEARTBEAT_S, watch._renew_heartbeat):
                yield watch
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    @property
    def variables(self) -> dict[str, str]:
        """What to add to the environment of ranks."""
        return {DIRECTORY: str(self.directory)}

    def tell_to_stop(self) -> None:
        """Have rank 0 save its work and dismiss the others: a signal to the launcher would end them at once."""
        with survived(logger, "ranks cannot be told to stop: they are killed when their time to save is over", OSError):
            self.launcher.write_text(STOP)

    def _renew_heartbeat(self) -> None:
        """Touch the launcher's file; in a thread, since its caller may wait long for others, such as a stopped driver."""
        with survived(logger, "no heartbeat reaches the ranks: they will end themselves", OSError), contextlib.suppress(FileNotFoundError):
            os.utime(self.launcher)

    def look(self) -> Trouble | None:
        """Return what is wrong with the ranks; to be called about once a second."""
        waited, silent = self._start.look(), []
        try:
            silences = [monitor.look() for monitor in self._ranks]
        except FileNotFoundError:
            return Trouble(
                Cause.KILLED, "the launch's directory is gone: the pack has been launched again by another, or it was removed by hand"
            )
        for rank, (monitor, seconds) in enumerate(zip(self._ranks, silences, strict=True)):
            status = self._statuses[rank] = read_status(monitor.text) or self._statuses[rank]
            if status is not None and seconds > SILENT_S:
                silent.append(f"rank {rank} on {status.host} (process {status.pid})")
        if silent:
            return Trouble(Cause.HANGING, f"no sign of life for {SILENT_S:g} s from {', '.join(silent)}: stopped, or its node is lost")
        self._met = self._met or all(status is not None and status.met for status in self._statuses)
        if not self._met and waited > START_S:
            met = sum(status is not None and status.met for status in self._statuses)
            ranks, started = len(self._statuses), sum(status is not None for status in self._statuses)
            return Trouble(
                Cause.ERROR,
                f"{ranks} ranks did not meet within {START_S:g} s: {started} have started, {met} have met the others. "
                f"The command was: {shlex.join(self.command)}",
            )
        return None

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """End the launcher and with it all ranks; of a step those first, since a launcher that is killed leaves them alive."""
        if process.poll() is not None:
            return
        self._ended_by_us = True
        if self.places.job is not None and (steps := {status.step for status in self._statuses if status is not None and status.step}):
            with survived(logger, "scancel has not ended the ranks: their launcher is ended", OSError, subprocess.TimeoutExpired):
                subprocess.run(["scancel", "--signal=KILL", *steps], capture_output=True, timeout=CANCEL_S)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
        process.kill()
        process.wait()

    def returncode(self, returncode: int, said: str) -> int:
        """Return how it all ended, as a single process would say it by its exit code or, below zero, its signal.

        Args:
            returncode: The launcher's.
            said: What it and the ranks have printed.
        """
        codes = [self._exit_code(rank) for rank in range(len(self._statuses))]
        death = first_death(said)
        if codes[0] == EXIT_STOPPED and death is not None:  # by a launcher that ends all ranks for the sake of the dead one
            return -death
        if codes[0] is not None:  # rank 0 trains, all others only compute for it
            return codes[0]
        if first_bad := next((code for code in codes if code), None):
            return first_bad
        if self._ended_by_us:
            return -signal.SIGKILL
        if death is not None:
            return -death
        if returncode - 128 in signal.valid_signals():  # what shells make of a signal
            return 128 - returncode
        return returncode or 1

    def _exit_code(self, rank: int) -> int | None:
        with contextlib.suppress(OSError):
            status = read_status((self.directory / str(rank)).read_text())
            return status.ended if status is not None else None
        return None
