"""The allocation: cores, memory and GPUs of a node that this machine, container or Slurm job lets us use, and the number of such nodes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hadamard.cluster.control_groups import MOUNT, PROCESS, control_groups
from hadamard.cluster.steps import own_job

GPU_MASKS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
"""Each names the GPUs that a process may use, with commas; empty: none. Unset: all there are."""
OUR_RAY = "HADAMARD_CLUSTER"
"""Variable that `slurm/sweep.sbatch` sets: its Ray says which nodes are the job's and what Slurm calls them."""


@dataclass(frozen=True)
class Allocation:
    """What may be used.

    Attributes:
        cpus: Cores of a node.
        memory_bytes: Main memory of a node.
        gpus: GPUs of a node.
        source: Who said so, in words.
        nodes: How many nodes Ray runs over, all taken to be like this one.
        apart: Whether the ranks of one MPI program have to be on one of them, since no step of Slurm can be started over several.
    """

    cpus: int
    memory_bytes: int
    gpus: int
    source: str
    nodes: int = 1
    apart: bool = False

    @property
    def rank_nodes(self) -> int:
        """Over how many nodes the ranks of one MPI program can be."""
        return 1 if self.apart else self.nodes

    @property
    def total_cpus(self) -> int:
        """Cores of all nodes."""
        return self.cpus * self.nodes

    @property
    def total_gpus(self) -> int:
        """GPUs of all nodes."""
        return self.gpus * self.nodes

    @property
    def description(self) -> str:
        """All of it in words."""
        gpus = f", {self.gpus} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else ""
        each = f"{self.nodes} nodes, each with " if self.nodes > 1 else ""
        return f"{each}{self.cpus} core{'s' if self.cpus > 1 else ''}{gpus}, {self.memory_bytes / 2**30:.1f} GiB ({self.source})"


def detect(environment: Mapping[str, str] = os.environ) -> Allocation:
    """Return what this process may use: by Slurm in a job, else by affinity, cgroup limits and what is installed."""
    installed = min(filter(None, (_installed_bytes(), _cgroup_memory_bytes())))
    gpus = _gpus(environment)
    if "SLURM_JOB_ID" not in environment:
        cpus = min(_usable_cpus(), _cgroup_cpus() or os.cpu_count() or 1)
        return Allocation(cpus, installed, gpus, "this machine")
    cpus = int(environment.get("SLURM_CPUS_ON_NODE") or environment.get("SLURM_CPUS_PER_TASK") or 1)
    nodes = int(environment.get("SLURM_JOB_NUM_NODES") or 1) if "RAY_ADDRESS" in environment else 1
    memory = _slurm_memory_bytes(environment, cpus, gpus) or installed
    apart = nodes > 1 and (own_job(environment) is None or OUR_RAY not in environment)
    return Allocation(cpus, memory, gpus, f"Slurm job {environment['SLURM_JOB_ID']}", nodes, apart)


def _usable_cpus() -> int:
    """Return the number of cores that this process may use; systems other than Linux, where studies are only planned, do not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _slurm_memory_bytes(environment: Mapping[str, str], cpus: int, gpus: int) -> int | None:
    """Return the job's memory on this node, or None where Slurm set no limit: 0 means all there is, and steps are given 0 to share it."""
    for name, times in (("SLURM_MEM_PER_NODE", 1), ("SLURM_MEM_PER_CPU", cpus), ("SLURM_MEM_PER_GPU", gpus)):
        if megabytes := int(environment.get(name) or 0) * times:
            return megabytes * 2**20
    return None


def _gpus(environment: Mapping[str, str]) -> int:
    """Return the GPUs of this node that a mask leaves visible, of those that Slurm gave, or that there are."""
    given = int(environment.get("SLURM_GPUS_ON_NODE") or 0) if "SLURM_JOB_ID" in environment else _installed_gpus()
    visible = [_named(environment[mask]) for mask in GPU_MASKS if mask in environment]
    if not visible:
        return given
    return min(visible) if not given else min(given, *visible)


def _named(mask: str) -> int:
    """Count the devices of a mask; what follows an invalid one is not visible."""
    devices = [device.strip() for device in mask.split(",")]
    return next((place for place, device in enumerate(devices) if device in ("", "-1", "NoDevFiles")), len(devices))


def _installed_gpus(devices: Path = Path("/dev")) -> int:
    if (devices / "nvidiactl").exists():
        return len(list(devices.glob("nvidia[0-9]*")))
    return len(list(devices.glob("dri/renderD*"))) if (devices / "kfd").exists() else 0


def _installed_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cgroup_memory_bytes(root: Path = MOUNT, own: Path = PROCESS) -> int | None:
    """Return the lowest memory limit of this process's cgroup and those above it, in version 2 or 1; None if there is none."""
    limits = []
    for version, groups in control_groups("memory", own, root):
        name = "memory.max" if version == 2 else "memory.limit_in_bytes"
        limits += [_read(group / name) for group in groups]
    return min((int(limit) for limit in limits if limit.isdigit()), default=None)


def _cgroup_cpus(root: Path = MOUNT, own: Path = PROCESS) -> int | None:
    """Return the cores of the lowest quota of this process's cgroup and those above it, in version 2 or 1; None if there is none."""
    limits = []
    for version, groups in control_groups("cpu", own, root):
        names = ("cpu.max",) if version == 2 else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        limits += [[word for name in names for word in _read(group / name).split()] for group in groups]
    numbers = [[int(number) for number in limit] for limit in limits if len(limit) == 2 and all(map(str.isdigit, limit))]
    return min((max(1, quota // period) for quota, period in numbers), default=None)


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
