"""What an allocation gives, by Slurm's word or the machine's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hadamard.cluster import allocation
from hadamard.cluster.allocation import detect
from hadamard.model.errors import UserError

JOB = {"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "8"}


@pytest.fixture
def large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 cores and 64 GiB, without limits."""
    monkeypatch.setattr(allocation, "_usable_cpus", lambda: 64)
    monkeypatch.setattr(allocation, "_installed_bytes", lambda: 64 * 2**30)
    monkeypatch.setattr(allocation, "_cgroup_cpus", lambda: None)
    monkeypatch.setattr(allocation, "_cgroup_memory_bytes", lambda: None)


@pytest.mark.usefixtures("large_machine")
def test_slurm_decides_inside_a_job() -> None:
    found = detect({"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "3", "SLURM_MEM_PER_NODE": "2048"})
    assert (found.cpus, found.memory_bytes, found.gpus, found.source) == (3, 2 * 2**30, 0, "Slurm job 7")


@pytest.mark.usefixtures("large_machine")
def test_cores_are_those_of_the_job_on_this_node_not_of_one_task() -> None:
    assert detect({**JOB, "SLURM_CPUS_PER_TASK": "2"}).cpus == 8
    assert detect({"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "2"}).cpus == 2


@pytest.mark.usefixtures("large_machine")
@pytest.mark.parametrize(
    ("said", "megabytes"),
    [
        ({"SLURM_MEM_PER_NODE": "3000", "SLURM_MEM_PER_CPU": "1"}, 3000),
        ({"SLURM_MEM_PER_CPU": "1024"}, 8 * 1024),
        ({"SLURM_MEM_PER_NODE": "0", "SLURM_MEM_PER_CPU": "100"}, 800),
        ({"SLURM_MEM_PER_NODE": "", "SLURM_MEM_PER_GPU": "500", "SLURM_GPUS_ON_NODE": "2"}, 1000),
    ],
    ids=["node", "cpu", "step without memory of its own", "gpu"],
)
def test_memory_by_node_core_or_gpu(said: dict[str, str], megabytes: int) -> None:
    assert detect({**JOB, **said}).memory_bytes == megabytes * 2**20


@pytest.mark.usefixtures("large_machine")
@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"SLURM_CPUS_ON_NODE": "2(x3)"}, (2, 64, 0)),
        ({"SLURM_CPUS_ON_NODE": "72(x2),36"}, (36, 64, 0)),
        ({"SLURM_CPUS_ON_NODE": "", "SLURM_CPUS_PER_TASK": "4,4"}, (4, 64, 0)),
        ({"SLURM_MEM_PER_NODE": "8G"}, (8, 8, 0)),
        ({"SLURM_MEM_PER_CPU": "1048576K"}, (8, 8, 0)),
        ({"SLURM_GPUS_ON_NODE": "a100:2"}, (8, 64, 2)),
        ({"SLURM_GPUS_ON_NODE": "gpu:a100:1,gpu:h100:2"}, (8, 64, 3)),
    ],
)
def test_slurms_other_notations_are_understood(said: dict[str, str], found: tuple[int, int, int]) -> None:
    seen = detect({**JOB, **said})
    assert (seen.cpus, seen.memory_bytes // 2**30, seen.gpus) == found


@pytest.mark.parametrize(
    "said",
    [
        {"SLURM_CPUS_ON_NODE": "0"},
        {"SLURM_CPUS_ON_NODE": "many"},
        {"SLURM_CPUS_ON_NODE": "", "SLURM_CPUS_PER_TASK": "-2"},
        {"SLURM_MEM_PER_NODE": "8 GiB"},
        {"SLURM_GPUS_ON_NODE": "a100"},
        {"SLURM_JOB_NUM_NODES": "2.5", "HADAMARD_CLUSTER": "/study/cluster.json"},
    ],
)
def test_what_is_in_no_notation_of_slurms_is_refused_by_its_name(said: dict[str, str]) -> None:
    name, value = next((name, value) for name, value in said.items() if value and name != "HADAMARD_CLUSTER")
    with pytest.raises(UserError, match=rf"{name}={value}: not in Slurm's notation, such as .* Unset it"):
        detect({**JOB, **said})


def test_of_slurms_word_and_the_machines_the_least_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    here = detect({})
    boast = {"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "4096", "SLURM_MEM_PER_NODE": "4000000000"}
    assert (detect(boast).cpus, detect(boast).memory_bytes) == (here.cpus, here.memory_bytes)
    monkeypatch.setattr(allocation, "_usable_cpus", lambda: 1)
    assert detect({**JOB}).cpus == 1, "bound to one core"


def test_a_job_without_a_limit_of_memory_has_what_the_machine_has() -> None:
    assert detect({**JOB, "SLURM_MEM_PER_NODE": "0"}).memory_bytes == detect({}).memory_bytes


@pytest.mark.parametrize(
    ("said", "gpus"),
    [
        ({}, 0),
        ({"SLURM_GPUS_ON_NODE": "2"}, 2),
        ({"SLURM_GPUS_ON_NODE": "2", "CUDA_VISIBLE_DEVICES": "0,1"}, 2),
        ({"SLURM_GPUS_ON_NODE": "4", "CUDA_VISIBLE_DEVICES": "2"}, 1),
        ({"SLURM_GPUS_ON_NODE": "2", "CUDA_VISIBLE_DEVICES": ""}, 0),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1a,GPU-2b,GPU-3c"}, 3),
        ({"ROCR_VISIBLE_DEVICES": "0,1"}, 2),
        ({"ROCR_VISIBLE_DEVICES": "0,1,2,3", "HIP_VISIBLE_DEVICES": "1"}, 1),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, 0),
        ({"CUDA_VISIBLE_DEVICES": "1,-1,0"}, 1),
    ],
)
def test_gpus_are_those_that_slurm_gave_and_a_mask_leaves_visible(said: dict[str, str], gpus: int) -> None:
    assert detect({**JOB, **said}).gpus == gpus


def test_gpus_of_a_machine_are_its_device_files_unless_a_mask_hides_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nvidia0", "nvidia1", "nvidia-uvm", "dri/renderD128"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert allocation._installed_gpus(tmp_path) == 0, "devices without a driver"
    (tmp_path / "kfd").touch()
    assert allocation._installed_gpus(tmp_path) == 1
    (tmp_path / "nvidiactl").touch()
    assert allocation._installed_gpus(tmp_path) == 2
    monkeypatch.setattr(allocation, "_installed_gpus", lambda: 2)
    assert detect({}).gpus == 2
    assert detect({"CUDA_VISIBLE_DEVICES": ""}).gpus == 0


@pytest.mark.usefixtures("large_machine")
def test_a_job_has_many_nodes_only_where_ray_runs_over_them() -> None:
    job = {**JOB, "SLURM_JOB_NUM_NODES": "3", "SLURM_GPUS_ON_NODE": "2", "SLURM_MEM_PER_NODE": "2048"}
    alone, over_all = detect(job), detect({**job, "HADAMARD_CLUSTER": "/study/cluster.json"})
    assert (alone.nodes, alone.total_cpus, alone.total_gpus) == (1, 8, 2)
    assert (over_all.nodes, over_all.total_cpus, over_all.total_gpus) == (3, 24, 6)
    assert over_all.memory_bytes == alone.memory_bytes, "memory is that of a node"
    assert over_all.description == "3 nodes, each with 8 cores, 2 GPUs, 2.0 GiB (Slurm job 7)"


def test_ranks_reach_the_nodes_of_a_job_by_srun_and_where_its_ray_is_ours(tmp_path: Path) -> None:
    (tmp_path / "srun").touch(mode=0o755)
    over_all = {**JOB, "SLURM_JOB_NUM_NODES": "3", "HADAMARD_CLUSTER": "/study/cluster.json", "SLURMD_NODENAME": "n1"}
    assert detect({**over_all, "PATH": str(tmp_path)}).rank_nodes == 3
    assert (detect({**over_all, "PATH": "/nowhere"}).nodes, detect({**over_all, "PATH": "/nowhere"}).rank_nodes) == (3, 1)


def test_outside_it_is_what_this_process_may_use() -> None:
    found = detect({})
    assert 1 <= found.cpus <= len(os.sched_getaffinity(0))
    assert 0 < found.memory_bytes <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert found.nodes == 1


def group_trees(tmp_path: Path, *trees: tuple[str, dict[str, str]]) -> Iterator[tuple[Path, Path]]:
    """Write the files of control groups below a root, for a process in the group of a line; yield both places."""
    own = tmp_path / "cgroup"
    for line, files in trees:
        own.write_text(f"7:cpuset:/elsewhere\n{line}\n")
        root = tmp_path / line.partition(":")[0]
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        yield root, own


def test_a_limit_of_any_cgroup_above_counts(tmp_path: Path) -> None:
    for root, own in group_trees(
        tmp_path,
        ("0::/job/step", {"job/memory.max": "4096", "job/step/memory.max": "max"}),
        ("5:memory:/job/step", {"memory/job/memory.limit_in_bytes": "4096", "memory/memory.limit_in_bytes": str(2**60)}),
    ):
        assert allocation._cgroup_memory_bytes(root, own) == 4096
        assert allocation._cgroup_memory_bytes(tmp_path / "none", own) is None


def test_a_quota_of_cores_of_any_cgroup_above_counts(tmp_path: Path) -> None:
    for root, own in group_trees(
        tmp_path,
        ("0::/job/step", {"job/cpu.max": "250000 100000", "job/step/cpu.max": "max 100000"}),
        ("4:cpu,cpuacct:/job", {"cpu/job/cpu.cfs_quota_us": "250000", "cpu/job/cpu.cfs_period_us": "100000", "cpu/cpu.cfs_quota_us": "-1"}),
    ):
        assert allocation._cgroup_cpus(root, own) == 2
        assert allocation._cgroup_cpus(tmp_path / "none", own) is None
