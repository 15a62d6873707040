"""Who runs a study: one driver at a time, on whatever machine, by files that work on every file system that nodes share.

A driver claims a study by making the file of the next generation: a hard link to one written beforehand, which only one of many can make.
It touches its file every few seconds. Whoever finds the owner dead claims the next generation; an owner that was taken for dead and was not
sees that at its next beat. There is no lock: some shared file systems have none, and some keep one when the node that held it is gone.

Owns the claim, its beat, and its word that the study is to stop. Does not own what drivers do, nor why they stop.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from hadamard.model.errors import LedgerError
from hadamard.orchestrator.ledger import owner_record
from hadamard.orchestrator.ledger.causes import SUPERSEDED
from hadamard.orchestrator.ledger.owner_record import STALE_S, JobState, OwnerRecord, current
from hadamard.slurm import jobs

__all__ = ["STALE_S", "SUPERSEDED", "Claim", "OwnedError", "OwnerRecord", "current", "living", "owned", "stop_requested"]

BEAT_S = 5.0
HISTORY = 9
"""Earlier generations that are kept."""
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


class OwnedError(LedgerError):
    """Another living driver has the study.

    Attributes:
        owner: That driver.
    """

    def __init__(self, owner: OwnerRecord, directory: Path | None = None, age_s: float | None = None) -> None:
        self.owner = owner
        job = f" of Slurm job {owner.job}" if owner.job else ""
        who = f"process {owner.pid} on {owner.host}{job}" if owner.pid else "a driver whose file cannot be read"
        sign = "" if age_s is None else f", last sign of life {age_s:.0f} s ago"
        super().__init__(f"{directory or 'the study'} is being run by {who}{sign}. {_what_to_do(owner)}")


class Claim:
    """A study that this process has, until the `owned` that gave it is left.

    Attributes:
        owner: What is said of this process.
        previous: Who had the study before; None if this is its first driver. Attempts that it left open are to be closed.
        lost: Whether another driver was seen to have taken the study over.
    """

    def __init__(self, directory: Path, owner: OwnerRecord, previous: OwnerRecord | None, on_lost: Callable[[], None]) -> None:
        self.directory, self.owner, self.previous, self.lost = directory, owner, previous, False
        self._on_lost, self._saved = on_lost, owner
        self._writing = threading.RLock()  # a signal's handler may write while its own thread does
        self._left = threading.Event()
        self._beating = threading.Thread(target=self._beat_on, name="ownership", daemon=True)
        self._beating.start()

    def stop(self, cause: str) -> None:
        """Say that the study is to stop: packs see it within seconds. The first cause stays; may be called in a signal's handler.

        If the file cannot be written now, every beat tries again.
        """
        if self.owner.state == "running":
            self._become("stopping", cause)

    def check(self) -> None:
        """Raise an OwnedError if another driver has taken the study over: nothing more may be written then."""
        if (newest := current(self.directory)) is not None and newest.generation > self.owner.generation:
            self.lost = True
            raise OwnedError(newest, self.directory)

    def end(self) -> None:
        """Give the study back. If the file cannot be written, the process's end will tell."""
        self._left.set()
        self._beating.join(BEAT_S)
        self._become("ended", self.owner.cause)

    def _become(self, state: Literal["stopping", "ended"], cause: str | None) -> None:
        self.owner = replace(self.owner, state=state, cause=cause)
        with contextlib.suppress(OSError):
            self._save()

    def _save(self) -> None:
        with self._writing:
            owner = self.owner
            os.replace(owner_record.written(self.directory, owner), owner_record.file_of(self.directory, owner.generation))
            self._saved = owner

    def _beat_on(self) -> None:
        while not self._left.wait(BEAT_S):
            with contextlib.suppress(OSError):  # a full disk, a server that is away: the next beat tries again
                self._beat()
            if self.lost:
                self._on_lost()
                return

    def _beat(self) -> None:
        self.lost = owner_record.highest(self.directory) > self.owner.generation
        if self.lost:
            return
        if self.owner is not self._saved:
            self._save()
        try:
            os.utime(owner_record.file_of(self.directory, self.owner.generation))  # by the server's clock
        except FileNotFoundError:
            self._save()


@contextlib.contextmanager
def owned(
    directory: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    on_lost: Callable[[], None] | None = None,
    job_state: JobState = jobs.state,
) -> Iterator[Claim]:
    """Have a study, whose directory must exist, while this is entered.

    Args:
        directory: The study's.
        environment: Tells job, node and Ray.
        on_lost: Called in another thread once another driver has taken the study over. Default: SIGTERM to the main thread, as a driver
            that is ended from outside gets it. It then stops, finds out why by `check`, and writes nothing more.
        job_state: Asks Slurm for the state of a job.

    Raises:
        OwnedError: Another living driver has it.
        LedgerError: The file system cannot make hard links.
    """
    owner, previous = _claim(directory, environment, job_state)
    ownership = Claim(directory, owner, previous, on_lost or _terminate_main_thread)
    try:
        yield ownership
    finally:
        ownership.end()


def living(directory: Path, environment: Mapping[str, str] = os.environ, job_state: JobState = jobs.state) -> OwnerRecord | None:
    """Return the driver that has a study now; None if it has none, or a dead one. May ask Slurm, which takes up to `jobs.ANSWER_S`."""
    owner = current(directory)
    return owner if owner is not None and owner_record.is_alive(owner, directory, environment, job_state) else None


def stop_requested(directory: Path, generation: int) -> str | None:
    """Return why the packs that an owner started must stop now, or None. Reads a short directory and a small file; never raises."""
    with contextlib.suppress(OSError):
        if owner_record.highest(directory) > generation:
            return SUPERSEDED
    owner = owner_record.read(directory, generation)
    return owner.cause if owner else None


def _claim(directory: Path, environment: Mapping[str, str], job_state: JobState) -> tuple[OwnerRecord, OwnerRecord | None]:
    """Become the owner; return it and the last one."""
    owner_record.folder(directory).mkdir(exist_ok=True)
    while True:  # each round that fails means that another driver has got on
        last = current(directory)
        if last is not None and owner_record.is_alive(last, directory, environment, job_state):
            raise OwnedError(last, directory, None if last.machine == owner_record.this_machine() else owner_record.age_s(directory, last))
        owner = owner_record.this_process(last.generation + 1 if last else 1, environment)
        if not _link(directory, owner):
            continue
        if owner_record.highest(directory) == owner.generation:
            _tidy(directory, owner)
            return owner, last
        owner_record.file_of(directory, owner.generation).unlink()  # so slow that this generation had come, gone, and been tidied away


def _link(directory: Path, owner: OwnerRecord) -> bool:
    """Make an owner's file as a whole; return whether it was this process that did, as only one can."""
    temporary, file = owner_record.written(directory, owner), owner_record.file_of(directory, owner.generation)
    try:
        os.link(temporary, file)
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samefile(temporary, file)  # NFS may do it, lose the answer, and find it done when asked again
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        raise LedgerError(
            f"{directory}: its file system cannot make hard links ({error.strerror}), which decide who runs a study. "
            "Choose a directory elsewhere with --dir"
        ) from error
    finally:
        temporary.unlink()
    return True


def _tidy(directory: Path, owner: OwnerRecord) -> None:
    """Remove what is long past: old generations, and what drivers that were killed in the middle of writing have left."""
    for path in owner_record.folder(directory).iterdir():
        generation = owner_record.generation_of(path.name)
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - 3600 if generation is None else generation < owner.generation - HISTORY:
                path.unlink()


def _what_to_do(owner: OwnerRecord) -> str:
    if owner.state == "stopping":
        return f"It is stopping ({owner.cause}): give the command again in a minute"
    if owner.cluster is not None:
        return "Wait for it, or lend more nodes to it: `hadamard submit STUDY --join`, or the same sbatch line again"
    if owner.machine == owner_record.this_machine():
        return "Wait for it, or stop it"
    return f"Wait for it, or stop it there; if it is dead, the study is free at most {STALE_S:g} s after its last sign of life"


def _terminate_main_thread() -> None:
    """Interrupt the main thread wherever it waits: a signal to this thread would be acted on only when the main thread's wait is over."""
    main = threading.main_thread().ident
    if main is not None:
        signal.pthread_kill(main, signal.SIGTERM)
