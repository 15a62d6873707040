"""The resources that Slurm allocated to a job on each of its nodes, and test steps inside a job.

A job's state is in jobs.py, what a job asks for in requested.py, the `srun` command in cluster/steps.py.
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
    """A job's part of a node.

    Attributes:
        cpus: Number of CPUs, as Slurm counts them.
        gpus: Number of GPUs.
        memory_bytes: Main memory; None where Slurm does not count memory.
    """

    cpus: int
    gpus: int
    memory_bytes: int | None


def parse(details: str) -> dict[str, AllocatedResources]:
    """Parse the output of `scontrol show job --details` into resources by node list, which Slurm writes like `n[1-3]`."""
    return {
        line["nodes"]: AllocatedResources(
            sum(_range_length(ids) for ids in line["cpus"].split(",")),
            sum(int(number) for number in GPUS.findall(line["gres"] or "")),
            int(line["memory"]) * 2**20 or None,
        )
        for line in NODES.finditer(details)
    }


def allocated(job: str) -> dict[str, AllocatedResources]:
    """Return a job's resources by node; empty where Slurm cannot be reached or no longer knows the job."""
    by_list = parse(_scontrol_output("job", "--details", job))
    return {host: resources for nodes, resources in by_list.items() for host in _scontrol_output("hostnames", nodes).split()}


def try_step(command: Sequence[str], timeout_s: float = ANSWER_S) -> str | None:
    """Run a step of a job; return None if it succeeded, else the reason in one line."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, env=step_environment(), stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return f"no {command[0]} on PATH"
    except subprocess.TimeoutExpired:
        return f"did not end within {timeout_s:g} s"
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]


def _range_length(ids: str) -> int:
    """Count the CPUs of a range such as `4-7`, or of a single number."""
    first, _, last = ids.partition("-")
    return int(last or first) - int(first) + 1


def _scontrol_output(*words: str) -> str:
    answer = scontrol(*words)
    return answer[0] if answer else ""
