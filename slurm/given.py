"""What Slurm gave a job on each of its nodes, in Slurm's own words, and steps that try something there.

Owns reading `scontrol show job --details` and the `srun` line of a step that shares the job's resources. Does not own the job's state.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slurm.jobs import ANSWER_S, scontrol

NODES = re.compile(r"^\s*Nodes=(?P<nodes>\S+) CPU_IDs=(?P<cpus>\S+) Mem=(?P<memory>\d+)(?: GRES=(?P<gres>\S*))?", re.MULTILINE)
GPUS = re.compile(r"\bgpu(?::[^:,(]+)?:(\d+)")
KEPT = ("SLURM_JOB_ID", "SLURM_CONF")


@dataclass(frozen=True)
class Given:
    """A job's part of a node; `memory_bytes` is None where Slurm does not count memory."""

    cpus: int
    gpus: int
    memory_bytes: int | None


def parse(details: str) -> dict[str, Given]:
    """Return what `scontrol show job --details` says, by list of nodes as Slurm writes it, such as `n[1-3]`."""
    return {
        found["nodes"]: Given(
            sum(_length(part) for part in found["cpus"].split(",")),
            sum(int(number) for number in GPUS.findall(found["gres"] or "")),
            int(found["memory"]) * 2**20 or None,
        )
        for found in NODES.finditer(details)
    }


def given(job: str) -> dict[str, Given]:
    """Return what a job has, by node; empty where Slurm cannot be asked or does not know it any more."""
    return {host: one for nodes, one in parse(_shown("job", "--details", job)).items() for host in _shown("hostnames", nodes).split()}


def step(job: str, words: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """Return the command of a step that runs beside what the job runs already, sharing its cores and memory."""
    return ["srun", f"--jobid={job}", "--overlap", "--mem=0", *options, *words]


def step_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for a step: without the job's or an outer step's geometry, which srun would take as defaults."""
    return {name: value for name, value in environment.items() if name in KEPT or not name.startswith(("SLURM_", "PMI", "OMPI_", "PRTE_"))}


def try_step(command: Sequence[str], timeout_s: float = ANSWER_S) -> str | None:
    """Run a step; return None if it went well, else what was wrong in one line."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env=step_environment(), stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return f"no {command[0]} on PATH"
    except subprocess.TimeoutExpired:
        return f"did not end within {timeout_s:g} s"
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]


def _length(ids: str) -> int:
    """Count the CPUs of a range such as `4-7`, or of a single number."""
    first, _, last = ids.partition("-")
    return int(last or first) - int(first) + 1


def _shown(*words: str) -> str:
    answer = scontrol(*words)
    return answer[0] if answer else ""
