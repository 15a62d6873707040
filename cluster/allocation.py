"""What this machine, container or Slurm allocation lets us use: cores and memory.

Owns reading these limits. Does not own how they are shared out: that is the plan's and Ray's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Allocation:
    """What may be used on this node.

    Attributes:
        cpus: Cores.
        memory_bytes: Main memory.
        source: Who said so, in words.
    """

    cpus: int
    memory_bytes: int
    source: str


def detect(environment: Mapping[str, str] = os.environ) -> Allocation:
    """Return what this process may use: Slurm's word where there is one, else affinity, cgroup limits and installed memory."""
    memory = min(_installed_bytes(), _cgroup_memory_bytes() or _installed_bytes())
    if "SLURM_JOB_ID" in environment:
        cpus = int(environment.get("SLURM_CPUS_PER_TASK") or environment.get("SLURM_CPUS_ON_NODE") or 1)
        if megabytes := environment.get("SLURM_MEM_PER_NODE"):
            memory = int(megabytes) * 2**20
        elif per_cpu := environment.get("SLURM_MEM_PER_CPU"):
            memory = int(per_cpu) * 2**20 * cpus
        return Allocation(cpus, memory, f"Slurm job {environment['SLURM_JOB_ID']}")
    cpus = min(len(os.sched_getaffinity(0)), _cgroup_cpus() or os.cpu_count() or 1)
    return Allocation(cpus, memory, "this machine")


def _installed_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cgroup_memory_bytes() -> int | None:
    for file in (CGROUP / "memory.max", CGROUP / "memory/memory.limit_in_bytes"):
        limit = _read(file)
        if limit.isdigit():
            return int(limit)
    return None


def _cgroup_cpus() -> int | None:
    quota, _, period = _read(CGROUP / "cpu.max").partition(" ")
    return max(1, int(quota) // int(period)) if quota.isdigit() and period.isdigit() else None


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
