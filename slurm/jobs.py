"""The state of jobs and nodes according to `scontrol show`, which needs no accounting and still knows jobs that ended minutes ago.

Submitting jobs is in submit.py; a job's resources on each node are in allocated.py.
"""

from __future__ import annotations

import logging
import re
import subprocess
from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

from hadamard.model.logs import warn_once

logger = logging.getLogger(__name__)
ACTIVE = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "STAGE_OUT"})
"""States in which processes of a job may be alive."""
WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"})
"""States of a job that is in the queue, for the first time or again: no process of it is alive."""
GONE = "GONE"
"""State of a job that Slurm does not know, or no longer; the only state here that is not one of Slurm's."""
ANSWER_S = 10.0
"""Timeout of a command of Slurm, in seconds."""
_UNKNOWN_ID = "Invalid job id"
_DURATION = re.compile(r"(?:(\d+)-)?(\d+):(\d+):(\d+)")


class Job(TypedDict):
    """A job as Slurm sees it now; None for what Slurm does not tell.

    Attributes:
        state: Slurm's state, such as `RUNNING`, or `GONE`.
        reason: Why it waits, or why it failed.
        nodes: Node list as Slurm writes it, such as `n[1-3]`.
        restarts: How often it was requeued.
        run_s: Seconds since its last start.
        limit_s: Time limit in seconds.
        time_left_s: Seconds until the time limit.
        exit_code: `CODE:SIGNAL` of the batch script, once it has ended.
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
    """Return a job's state, `GONE` if Slurm does not know the job, None if Slurm cannot be reached."""
    job_now = details(job)
    return job_now["state"] if job_now else None


def details(job: str) -> Job | None:
    """Return the job with this id; None if Slurm cannot be reached: no command, no controller, no answer in time."""
    answer = scontrol("job", job)
    return read_job(job, *answer) if answer else None


def node_lost(node: str, since_s: float) -> bool | None:
    """Whether a node is down, or was rebooted after `since_s` (Unix time); None if Slurm cannot be reached or does not know the node."""
    answer = scontrol("node", node)
    return read_node_lost(answer[0], since_s) if answer else None


def restart_count(environment: Mapping[str, str]) -> int:
    """Return how often this job had been requeued when it was started; 0 outside Slurm."""
    return int(environment.get("SLURM_RESTART_COUNT") or 0)


def consumed_energy_j(job: str) -> float | None:
    """Return the energy that Slurm's accounting has for a job so far, in joules: of whole nodes, also of what other jobs used there.

    None without accounting or an energy plugin (`AcctGatherEnergyType` in slurm.conf), which Slurm reports as 0.
    """
    try:
        words = ["sacct", "--noheader", "--parsable2", "--format=ConsumedEnergyRaw", "--jobs", job]
        done = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_S)
    except OSError:
        return None  # no Slurm here
    except subprocess.TimeoutExpired as error:
        warn_once(logger, f"the energy of job {job} in Slurm's accounting is not known", error)
        return None
    return read_consumed_energy_j(done.stdout)


def read_consumed_energy_j(output: str) -> float | None:
    """Parse the output of `sacct`, a line for the job and each of its steps: return the largest energy in joules; None if there is none."""
    known = [float(line) for line in output.split() if re.fullmatch(r"\d+(\.\d+)?", line)]
    return max(known, default=0.0) or None


def read_job(job: str, output: str, errors: str = "") -> Job | None:
    """Parse the output of `scontrol show job ID`; of an array Slurm prints all tasks, so the id selects one."""
    for record in re.split(r"\n\s*\n", output):
        first_line, _, rest = record.partition(
            "\n"
        )  # the first line holds the job's name, which a user chose and which may look like fields
        if re.match(rf"\s*JobId={job}\b", first_line) and (state := _field(rest, "JobState")):
            run_s, limit_s = seconds(_field(rest, "RunTime")), seconds(_field(rest, "TimeLimit"))
            restarts = _field(rest, "Restarts")
            return Job(
                state=state,
                reason=_field(rest, "Reason"),
                nodes=_field(rest, "NodeList"),
                restarts=int(restarts) if restarts else None,
                run_s=run_s,
                limit_s=limit_s,
                time_left_s=max(0.0, limit_s - run_s) if state in ACTIVE and limit_s is not None and run_s is not None else None,
                exit_code=None if state in ACTIVE | WAITING else _field(rest, "ExitCode"),
            )
    if _UNKNOWN_ID not in errors:
        return None
    return Job(state=GONE, reason=None, nodes=None, restarts=None, run_s=None, limit_s=None, time_left_s=None, exit_code=None)


def read_node_lost(output: str, since_s: float) -> bool | None:
    """Parse the output of `scontrol show node NAME` for `node_lost`; older Slurm writes `*` for NOT_RESPONDING."""
    states = _field(output, "State")
    if states is None:
        return None
    if states.endswith("*") or {"DOWN", "FAIL", "NOT_RESPONDING"} & set(states.split("+")):
        return True
    try:
        return datetime.fromisoformat(_field(output, "SlurmdStartTime") or "").timestamp() > since_s
    except ValueError:
        return False


def seconds(duration: str | None) -> float | None:
    """Parse a duration as Slurm prints it, `1-02:03:04` or `02:03:04`, into seconds; None for `UNLIMITED` and the like."""
    match = _DURATION.fullmatch(duration or "")
    if match is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + rest)


def scontrol(*words: str) -> tuple[str, str] | None:
    """Return stdout and stderr of `scontrol show`; None if Slurm cannot be reached."""
    try:
        done = subprocess.run(["scontrol", "show", *words], capture_output=True, text=True, timeout=ANSWER_S)
    except OSError:
        return None  # no Slurm here
    except subprocess.TimeoutExpired as error:
        warn_once(logger, "Slurm does not answer: states of jobs and nodes are not known", error)
        return None
    return done.stdout, done.stderr


def _field(text: str, name: str) -> str | None:
    match = re.search(rf"(?:^|\s){name}=(\S+)", text)
    return match[1] if match and match[1] not in ("None", "(null)") else None
