"""The claim on a study: one driver at a time, on whatever machine, by files that work on every file system that nodes share.

A driver claims a study by making the owner record of the next term: a hard link to a file written beforehand, which only one of many can
make. It touches its record every few seconds. Whoever sees that the owner is dead claims the next term; an owner that was wrongly taken for
dead sees that at its next heartbeat. There is no lock: some shared file systems have none, and some keep one when its node is gone.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from hadamard.cluster.periodic import Periodic
from hadamard.model.errors import LedgerError
from hadamard.model.files.causes import Cause
from hadamard.model.logs import survived
from hadamard.orchestrator.ledger import owner_record
from hadamard.orchestrator.ledger.owner_record import STALE_S, JobState, OwnerRecord, current
from hadamard.slurm import jobs

HEARTBEAT_S = 5.0
HISTORY = 9
"""Owner records of earlier terms that are kept."""
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
logger = logging.getLogger(__name__)


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
    """This process's claim on a study, until the `owned` that gave it is left.

    Attributes:
        owner: The record of this process.
        previous: The record of the driver before; None if this is the first one. Attempts that it left open are to be closed.
        lost: Whether another driver was seen to have taken the study over.
    """

    def __init__(self, directory: Path, owner: OwnerRecord, previous: OwnerRecord | None, on_lost: Callable[[], None]) -> None:
        self.directory, self.owner, self.previous, self.lost = directory, owner, previous, False
        self._on_lost, self._saved = on_lost, owner
        self._writing = threading.RLock()  # a signal's handler may write while its own thread does
        self._heartbeat = Periodic("heartbeat", HEARTBEAT_S, self._on_heartbeat)
        self._heartbeat.start()

    def stop(self, cause: str) -> None:
        """Request that the study stops: packs see it within seconds. The first cause stays; may be called in a signal's handler.

        If the record cannot be written now, every heartbeat tries again.
        """
        if self.owner.state == "running":
            logger.info("the study is to stop: %s", cause)
            self._become("stopping", cause)

    def check(self) -> None:
        """Raise an OwnedError if another driver has taken the study over: nothing more may be written then."""
        if (newest := current(self.directory)) is not None and newest.term > self.owner.term:
            self.lost = True
            raise OwnedError(newest, self.directory)

    def end(self) -> None:
        """Release the study. If the record cannot be written, the process's end will tell."""
        self._heartbeat.stop(HEARTBEAT_S)
        self._become("ended", self.owner.cause)

    def _become(self, state: Literal["stopping", "ended"], cause: str | None) -> None:
        self.owner = replace(self.owner, state=state, cause=cause)
        with survived(logger, "the owner record cannot be written: packs, and who looks from elsewhere, see no stop yet", OSError):
            self._save()

    def _save(self) -> None:
        with self._writing:
            owner = self.owner
            os.replace(owner_record.written(self.directory, owner), owner_record.file_of(self.directory, owner.term))
            self._saved = owner

    def _on_heartbeat(self) -> None:
        with survived(logger, f"no heartbeat can be written: after {STALE_S:g} s another driver may take the study over", OSError):
            self.lost = owner_record.highest(self.directory) > self.owner.term
            if not self.lost:
                self._renew()
        if self.lost:
            logger.error("another driver has taken the study over: this one stops and writes nothing more")
            self._heartbeat.stop()
            self._on_lost()

    def _renew(self) -> None:
        if self.owner is not self._saved:
            self._save()
        try:
            os.utime(owner_record.file_of(self.directory, self.owner.term))  # by the server's clock
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
    """Claim a study, whose directory must exist, while this is entered.

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
    claim = Claim(directory, owner, previous, on_lost or _terminate_main_thread)
    try:
        yield claim
    finally:
        claim.end()


def living(directory: Path, environment: Mapping[str, str] = os.environ, job_state: JobState = jobs.state) -> OwnerRecord | None:
    """Return the driver that has a study now; None if it has none, or a dead one. May ask Slurm, which takes up to `jobs.ANSWER_S`."""
    owner = current(directory)
    return owner if owner is not None and owner_record.is_alive(owner, directory, environment, job_state) else None


def stop_requested(directory: Path, term: int) -> str | None:
    """Return why the packs of a term must stop now, or None. Reads a short directory and a small file; never raises."""
    with survived(logger, "owner records cannot be read: a stop, or another driver, is seen later", OSError):
        if owner_record.highest(directory) > term:
            return Cause.SUPERSEDED
    owner = owner_record.read(directory, term)
    return owner.cause if owner else None


def _claim(directory: Path, environment: Mapping[str, str], job_state: JobState) -> tuple[OwnerRecord, OwnerRecord | None]:
    """Make this process the owner; return its record and the last one."""
    owner_record.folder(directory).mkdir(exist_ok=True)
    while True:  # each round that fails means that another driver has made progress
        last = current(directory)
        if last is not None and owner_record.is_alive(last, directory, environment, job_state):
            raise OwnedError(last, directory, None if last.machine == owner_record.this_machine() else owner_record.age_s(directory, last))
        owner = owner_record.this_process(last.term + 1 if last else 1, environment)
        if not _link(directory, owner):
            continue
        if owner_record.highest(directory) == owner.term:
            _tidy(directory, owner)
            return owner, last
        owner_record.file_of(directory, owner.term).unlink()  # so slow that this term had come, gone, and been tidied away


def _link(directory: Path, owner: OwnerRecord) -> bool:
    """Make an owner record as a whole; return whether it was this process that did, as only one can."""
    temporary, file = owner_record.written(directory, owner), owner_record.file_of(directory, owner.term)
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
    """Remove records of terms long past, and what drivers that were killed in the middle of writing have left."""
    for path in owner_record.folder(directory).iterdir():
        term = owner_record.term_of(path.name)
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - 3600 if term is None else term < owner.term - HISTORY:
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
