"""What Slurm gave a job on each of its nodes, in Slurm's own words, and steps that try something there.

Owns reading `scontrol show job --details`, and trying a step. Does not own the job's state, nor the `srun` line (cluster/steps.py).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from hadamard.cluster.steps import step_environment
from hadamard.slurm.jobs import ANSWER_S, scontrol

NODES = re.compile(r"^\s*Nodes=(?P<nodes>\S+) CPU_IDs=(?P<cpus>\S+) Mem=(?P<memory>\d+)(?: GRES=(?P<gres>\S*))?", re.MULTILINE)
GPUS = re.compile(r"\bgpu(?::[^:,(]+)?:(\d+)")


@dataclass(frozen=True)
class AllocatedResources:
    """A job's part of a node; `memory_bytes` is None where Slurm does not count memory."""

    cpus: int
    gpus: int
    memory_bytes: int | None


def parse(details: str) -> dict[str, AllocatedResources]:
    """Return what `scontrol show job --details` says, by list of nodes as Slurm writes it, such as `n[1-3]`."""
    return {
        found["nodes"]: AllocatedResources(
            sum(_length(part) for part in found["cpus"].split(",")),
            sum(int(number) for number in GPUS.findall(found["gres"] or "")),
            int(found["memory"]) * 2**20 or None,
        )
        for found in NODES.finditer(details)
    }


def given(job: str) -> dict[str, AllocatedResources]:
    """Return what a job has, by node; empty where Slurm cannot be asked or does not know it any more."""
    return {host: one for nodes, one in parse(_shown("job", "--details", job)).items() for host in _shown("hostnames", nodes).split()}


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
