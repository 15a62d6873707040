"""Owner records: a file `owner/0000007.json` for each driver that ever had a study, numbered by term, and whether its driver lives.

How a driver comes to own a study is in `claim`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from hadamard.cluster.node_drain import node_name
from hadamard.model.files.atomic import temporary_beside
from hadamard.slurm import jobs

STALE_S = 60.0
"""An owner that cannot be asked is dead after this time without a heartbeat: long for a server that hangs, short for one who waits."""
JobState = Callable[[str], str | None]
"""Asks Slurm for the state of a job; see `hadamard.slurm.jobs.state`."""
_NAME = re.compile(r"(\d{7,})\.json")


@dataclass(frozen=True)
class OwnerRecord:
    """A driver that has, or had, a study.

    Attributes:
        term: Counts the owners of the study; the highest one has it.
        host: Where it runs, by Slurm's name of the node where there is one.
        pid: Its process there; 0 if its file cannot be read.
        process_started: In ticks after the boot, so that another process with this number is not taken for it.
        machine: Boot and process table: where this is the same, the process can be looked up.
        job: Slurm's id of its job; None outside Slurm.
        restart: How often that job had been put back into the queue.
        cluster: The `cluster.json` of the Ray that it leads, which other jobs may join; None if there is none.
        state: `stopping` once it was told to.
        cause: Why it stops, or was stopped.
        started_ms: When it claimed the study, by its own clock.
        heartbeat_ms: Its last sign of life, by the file server's clock; known of what was read only.
    """

    term: int
    host: str
    pid: int
    process_started: int
    machine: str
    job: str | None
    restart: int
    cluster: str | None
    state: Literal["running", "stopping", "ended"]
    cause: str | None
    started_ms: int
    heartbeat_ms: int | None = None


def this_process(term: int, environment: Mapping[str, str]) -> OwnerRecord:
    """Return the record of this process as the owner in a term; the environment tells job, node and Ray."""
    pid = os.getpid()
    return OwnerRecord(
        term=term,
        host=node_name(environment),
        pid=pid,
        process_started=_process_started(pid) or 0,
        machine=this_machine(),
        job=environment.get("SLURM_JOB_ID"),
        restart=jobs.restart_count(environment),
        cluster=environment.get("HADAMARD_CLUSTER"),
        state="running",
        cause=None,
        started_ms=int(time.time() * 1000),
    )


def this_machine() -> str:
    """Return the id of this boot of this machine, and of this table of processes."""
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"


def folder(directory: Path) -> Path:
    """Return the directory of a study's owner records."""
    return directory / "owner"


def file_of(directory: Path, term: int) -> Path:
    """Return the file of the owner in a term."""
    return folder(directory) / f"{term:07d}.json"


def term_of(name: str) -> int | None:
    """Return the term of an owner record by its file name, None if it is another file."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def highest(directory: Path) -> int:
    """Return the highest term, 0 if there is none. The directory is opened anew: then NFS asks what others have made in it."""
    try:
        return max((term_of(name) or 0 for name in os.listdir(folder(directory))), default=0)
    except FileNotFoundError:
        return 0


def read(directory: Path, term: int) -> OwnerRecord | None:
    """Return an owner record, None if it is missing or torn. Opened anew, so that NFS shows what others have written."""
    for _ in range(2):  # a file that another node replaces while it is read is there again at once
        with contextlib.suppress(OSError, ValueError, TypeError), open(file_of(directory, term)) as file:
            heartbeat_ms = int(os.fstat(file.fileno()).st_mtime * 1000)
            content = json.load(file)
            content.pop("generation", None)  # the term, as earlier versions wrote it
            return OwnerRecord(**content, term=term, heartbeat_ms=heartbeat_ms)
    return None


def current(directory: Path) -> OwnerRecord | None:
    """Return the last to claim a study, dead or alive; None if nobody ever has. Of a torn file, term and heartbeat are known."""
    term = highest(directory)
    return read(directory, term) or _unreadable(directory, term) if term else None


def written(directory: Path, owner: OwnerRecord) -> Path:
    """Write an owner record to a temporary file beside its own, to be renamed or linked; return that."""
    content: dict[str, Any] = asdict(owner)
    del content["term"], content["heartbeat_ms"]  # the file's name, and its time
    temporary = temporary_beside(folder(directory) / "owner")
    with open(temporary, "x") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def age_s(directory: Path, owner: OwnerRecord) -> float:
    """Return the seconds since an owner's last heartbeat by one clock: that of the server, which stamps its file and one written now."""
    now_ms = time.time() * 1000
    with contextlib.suppress(OSError):  # others' studies may be looked at without a right to write; then our clock has to do
        now = temporary_beside(folder(directory) / "owner")
        now.touch()
        now_ms = now.stat().st_mtime * 1000
        now.unlink()
    return max(0.0, now_ms - (owner.heartbeat_ms or 0)) / 1000


def is_alive(owner: OwnerRecord, directory: Path, environment: Mapping[str, str], job_state: JobState) -> bool:
    """Whether an owner may still write. Certain facts are asked first, slow ones last."""
    if owner.state == "ended":
        return False
    if owner.machine == this_machine() and (alive := _process_is_alive(owner)) is not None:
        return alive
    if owner.job is not None and owner.job == environment.get("SLURM_JOB_ID") and jobs.restart_count(environment) > owner.restart:
        return False
    if age_s(directory, owner) > STALE_S:
        return False
    state = job_state(owner.job) if owner.job is not None else None
    return state is None or state in jobs.ACTIVE


def _process_is_alive(owner: OwnerRecord) -> bool | None:
    """Whether an owner's process is in this machine's table; None if that may not be looked up, as where others' processes are hidden."""
    started = _process_started(owner.pid)
    if started is not None:
        return started == owner.process_started
    try:
        os.kill(owner.pid, 0)
    except PermissionError:
        return None
    except ProcessLookupError:
        pass
    return False  # gone, or a zombie


def _process_started(pid: int) -> int | None:
    """Return the start of a process in ticks after the boot; None if there is none, or only its zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # the name before may hold anything
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _unreadable(directory: Path, term: int) -> OwnerRecord:
    """Return an owner of whom only the heartbeat can tell whether it lives."""
    heartbeat_ms = 0
    with contextlib.suppress(OSError):
        heartbeat_ms = int(file_of(directory, term).stat().st_mtime * 1000)
    return OwnerRecord(term, "an unknown machine", 0, 0, "", None, 0, None, "running", None, heartbeat_ms, heartbeat_ms)
