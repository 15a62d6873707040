"""The allocation: cores, memory and GPUs of a node that this machine, container or Slurm job lets us use, and the number of such nodes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hadamard.cluster.control_groups import MOUNT, PROCESS, control_groups
from hadamard.cluster.steps import own_job
from hadamard.model.errors import UserError

GPU_MASKS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
"""Each names the GPUs that a process may use, with commas; empty: none. Unset: all there are."""
OUR_RAY = "HADAMARD_CLUSTER"
"""Variable that `slurm/sweep.sbatch` sets: its Ray says which nodes are the job's and what Slurm calls them."""

MEMORY_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


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
    """Return what this process may use: the least of what Slurm gave, in a job, affinity, cgroup limits and what is installed.

    Raises:
        UserError: A variable of Slurm's is in no notation of Slurm's.
    """
    memory = min(filter(None, (_installed_bytes(), _cgroup_memory_bytes())))
    cpus = min(filter(None, (_usable_cpus(), _cgroup_cpus())))
    gpus = _gpus(environment)
    if "SLURM_JOB_ID" not in environment:
        return Allocation(cpus, memory, gpus, "this machine")
    given = _cores(environment, "SLURM_CPUS_ON_NODE") or _cores(environment, "SLURM_CPUS_PER_TASK") or 1
    memory = min(memory, _slurm_memory_bytes(environment, given, gpus) or memory)
    nodes = (_cores(environment, "SLURM_JOB_NUM_NODES") or 1) if OUR_RAY in environment else 1
    apart = nodes > 1 and own_job(environment) is None
    return Allocation(min(given, cpus), memory, gpus, f"Slurm job {environment['SLURM_JOB_ID']}", nodes, apart)


def _usable_cpus() -> int:
    """Return the number of cores that this process may use; systems other than Linux, where studies are only planned, do not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _matched(environment: Mapping[str, str], name: str, notation: re.Pattern[str], such_as: str) -> str | None:
    """Return a variable's value in a notation, None where it is not set or empty."""
    value = environment.get(name, "").strip()
    if value and not notation.fullmatch(value):
        raise UserError(f"{name}={value}: not in Slurm's notation, such as {such_as}. Unset it, or set it to what the job has")
    return value or None


def _cores(environment: Mapping[str, str], name: str) -> int | None:
    """Return a number, the least of several where Slurm writes them for groups of nodes or tasks, as in 2(x3),4."""
    value = _matched(environment, name, re.compile(r"[1-9]\d*(\(x\d+\))?(,[1-9]\d*(\(x\d+\))?)*"), "4 or 2(x3)")
    return min(int(part.partition("(")[0]) for part in value.split(",")) if value else None


def _slurm_memory_bytes(environment: Mapping[str, str], cpus: int, gpus: int) -> int | None:
    """Return the job's memory on this node, or None where Slurm set no limit: 0 means all there is, and steps are given 0 to share it."""
    for name, times in (("SLURM_MEM_PER_NODE", 1), ("SLURM_MEM_PER_CPU", cpus), ("SLURM_MEM_PER_GPU", gpus)):
        value = _matched(environment, name, re.compile(r"\d+[KMGT]?", re.IGNORECASE), "8192 (MiB) or 8G") or "0"
        unit = MEMORY_UNITS.get(value[-1].upper())
        if of_node := int(value.rstrip("kmgtKMGT")) * (unit or MEMORY_UNITS["M"]) * times:
            return of_node
    return None


def _gpus(environment: Mapping[str, str]) -> int:
    """Return the GPUs of this node that a mask leaves visible, of those that Slurm gave, or that there are."""
    given = _installed_gpus()
    if "SLURM_JOB_ID" in environment:
        kinds = _matched(environment, "SLURM_GPUS_ON_NODE", re.compile(r"([\w.:-]+:)?\d+(,([\w.:-]+:)?\d+)*"), "2 or a100:2") or "0"
        given = sum(int(kind.rpartition(":")[2]) for kind in kinds.split(","))
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
