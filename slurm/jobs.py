"""What Slurm says of a job and of a node, by `scontrol show`: it also knows jobs that ended a moment ago, without accounting.

Owns the reading of Slurm's words, times and lists. Does not own submitting, nor what is made of the answers.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

ACTIVE = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "STAGE_OUT"})
"""States in which processes of a job may be alive."""
WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"})
"""States of a job that is in the queue, for the first time or again: none of its processes is alive."""
GONE = "GONE"
"""Our word for a job that Slurm does not know, or no longer."""
ANSWER_S = 10.0
"""How long Slurm may take to answer."""
_UNKNOWN_ID = "Invalid job id"
_DURATION = re.compile(r"(?:(\d+)-)?(\d+):(\d+):(\d+)")


class Job(TypedDict):
    """A job as Slurm sees it now; None for what it does not say.

    state is Slurm's word, such as `RUNNING`, or `GONE`; reason says why it waits, or has failed; nodes are as Slurm writes them, such as
    `n[1-3]`; restarts counts how often it went back into the queue; run_s, limit_s and time_left_s are seconds since it was started this
    time, of its time limit, and until that; exit_code is `CODE:SIGNAL` of its script, once it has ended.
    """

    state: str
    reason: str | None
    nodes: str | None
    restarts: int | None
    run_s: float | None
    limit_s: float | None
    time_left_s: float | None
    exit_code: str | None


def state(job: str) -> str | None:
    """Return Slurm's word for a job's state, `GONE` if it does not know the job, None if it cannot be asked."""
    found = details(job)
    return found["state"] if found else None


def details(job: str) -> Job | None:
    """Return what Slurm knows of a job, by its id; None if Slurm cannot be asked: no command, no controller, no answer in time."""
    answer = scontrol("job", job)
    return read_job(job, *answer) if answer else None


def node_lost(node: str, since_s: float) -> bool | None:
    """Whether Slurm says that a node is down, or has come back since a moment (Unix time); None if it cannot be asked or does not know."""
    answer = scontrol("node", node)
    return read_node_lost(answer[0], since_s) if answer else None


def restart_count(environment: Mapping[str, str]) -> int:
    """Return how often this job had been put back into the queue when it was started; 0 outside Slurm."""
    return int(environment.get("SLURM_RESTART_COUNT") or 0)


def consumed_energy_j(job: str) -> float | None:
    """Return the joules that Slurm's accounting has for a job so far: of its nodes as a whole, whoever else uses them.

    None where it keeps none: no accounting, or no plugin for energy, which then says 0 (`AcctGatherEnergyType` in slurm.conf).
    """
    try:
        words = ["sacct", "--noheader", "--parsable2", "--format=ConsumedEnergyRaw", "--jobs", job]
        done = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return read_consumed_energy_j(done.stdout)


def read_consumed_energy_j(output: str) -> float | None:
    """Return the largest of the joules that `sacct` printed, a line for the job and for each of its steps; None if there are none."""
    known = [float(line) for line in output.split() if re.fullmatch(r"\d+(\.\d+)?", line)]
    return max(known, default=0.0) or None


def read_job(job: str, output: str, errors: str = "") -> Job | None:
    """Return a job from what `scontrol show job ID` printed; of an array, Slurm prints all tasks, and the id decides."""
    for record in re.split(r"\n\s*\n", output):
        named, _, rest = record.partition("\n")  # the first line holds the job's name, which a user chose and which may look like fields
        if re.match(rf"\s*JobId={job}\b", named) and (word := _field(rest, "JobState")):
            run_s, limit_s = seconds(_field(rest, "RunTime")), seconds(_field(rest, "TimeLimit"))
            restarts = _field(rest, "Restarts")
            return Job(
                state=word,
                reason=_field(rest, "Reason"),
                nodes=_field(rest, "NodeList"),
                restarts=int(restarts) if restarts else None,
                run_s=run_s,
                limit_s=limit_s,
                time_left_s=max(0.0, limit_s - run_s) if word in ACTIVE and limit_s is not None and run_s is not None else None,
                exit_code=None if word in ACTIVE | WAITING else _field(rest, "ExitCode"),
            )
    if _UNKNOWN_ID not in errors:
        return None
    return Job(state=GONE, reason=None, nodes=None, restarts=None, run_s=None, limit_s=None, time_left_s=None, exit_code=None)


def read_node_lost(output: str, since_s: float) -> bool | None:
    """Return `node_lost` from what `scontrol show node NAME` printed; `*` is old Slurm's way to write NOT_RESPONDING."""
    word = _field(output, "State")
    if word is None:
        return None
    if word.endswith("*") or {"DOWN", "FAIL", "NOT_RESPONDING"} & set(word.split("+")):
        return True
    try:
        return datetime.fromisoformat(_field(output, "SlurmdStartTime") or "").timestamp() > since_s
    except ValueError:
        return False


def seconds(duration: str | None) -> float | None:
    """Return the seconds in a duration as Slurm writes it, `1-02:03:04` or `02:03:04`; None for `UNLIMITED` and the like."""
    found = _DURATION.fullmatch(duration or "")
    if found is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + rest)


def scontrol(*words: str) -> tuple[str, str] | None:
    """Return what `scontrol show` printed and complained of; None if Slurm cannot be asked."""
    try:
        done = subprocess.run(["scontrol", "show", *words], capture_output=True, text=True, timeout=ANSWER_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout, done.stderr


def _field(text: str, name: str) -> str | None:
    found = re.search(rf"(?:^|\s){name}=(\S+)", text)
    return found[1] if found and found[1] not in ("None", "(null)") else None
