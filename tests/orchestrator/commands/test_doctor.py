"""`hadamard doctor`: what each check makes of what it sees, in and outside a Slurm job."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.cluster import file_systems
from hadamard.model.simulators.registry import SIMULATORS
from hadamard.orchestrator.commands.doctor import machine
from hadamard.orchestrator.commands.doctor.check import check, reason, text
from hadamard.orchestrator.commands.doctor.directories import scratch, scratch_check
from hadamard.orchestrator.commands.doctor.job import RayNode, compare, find_cluster
from hadamard.orchestrator.commands.doctor.listening import Listener, listening
from hadamard.slurm.allocated import AllocatedResources

GIB = 2**30


def test_slurm_and_ray_side_by_side() -> None:
    nodes = {name: AllocatedResources(4, 2, 8 * GIB) for name in ("n1", "n2", "n3", "n4")}
    ray = {"n1": RayNode(4, 2, 7 * GIB), "n2": RayNode(64, 2, 7 * GIB), "n3": RayNode(4, 2, 500 * GIB), "other": RayNode(1, 0, GIB)}
    checks = {one.what: one for one in compare(nodes, ray)}
    assert [checks[f"node n{number}"].ok for number in (1, 2, 3, 4)] == [True, False, False, False]
    assert checks["node n1"].seen == "Slurm: 4 cores, 2 GPUs, 8.0 GiB; Ray: the same"
    assert "Ray: 64 cores, 2 GPUs, 7.0 GiB" in checks["node n2"].seen
    assert "500.0 GiB" in checks["node n3"].seen
    assert "Ray is not there" in checks["node n4"].seen
    assert checks["lent to it"].seen == "1 node of other jobs"
    assert all(one.fix for one in checks.values() if not one.ok)


def test_memory_that_slurm_does_not_count_is_not_compared() -> None:
    (found,) = compare({"n1": AllocatedResources(4, 0, None)}, {"n1": RayNode(4, 0, 500 * GIB)})
    assert found.ok
    assert "memory not counted" in found.seen


def test_the_ray_of_a_job_is_found_by_its_variable_or_on_its_node(tmp_path: Path) -> None:
    job = {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "1", "HADAMARD_SCRATCH": str(tmp_path)}
    assert find_cluster({**job, "HADAMARD_CLUSTER": "/study/cluster.json"}) == Path("/study/cluster.json")
    for name in ("hd-7-0-n1", "hd-71-1-n1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cluster.json").touch()
    assert find_cluster(job) is None, "an earlier run of the job, and another job"
    (tmp_path / "hd-7-1-n1").mkdir()
    (tmp_path / "hd-7-1-n1" / "cluster.json").touch()
    assert find_cluster(job) == tmp_path / "hd-7-1-n1" / "cluster.json"


def test_scratch_is_where_the_batch_script_puts_it() -> None:
    assert scratch({"HADAMARD_SCRATCH": "/a", "SLURM_TMPDIR": "/b"}) == ("$HADAMARD_SCRATCH", Path("/a"))
    assert scratch({"SLURM_TMPDIR": "/b"}) == ("$SLURM_TMPDIR", Path("/b"))
    assert scratch({}) == ("default", Path("/tmp"))


def test_scratch_must_be_short_local_writable_and_roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "GiB free" in scratch_check("default", Path("/tmp"), {}).seen
    long = scratch_check("$HADAMARD_SCRATCH", Path("/tmp/" + "x" * 60), {"SLURM_JOB_ID": "7"})
    assert not long.ok
    assert "too long by" in long.seen
    assert long.seen.endswith("whose paths may have 107")
    assert not scratch_check("$HADAMARD_SCRATCH", Path("/proc/none"), {}).ok
    monkeypatch.setattr(file_systems, "kind", lambda path: "lustre")
    shared = scratch_check("default", Path("/tmp"), {})
    assert not shared.ok
    assert "over the network" in shared.seen
    assert "short directory on the node's own disk" in shared.fix


@pytest.mark.slow
def test_every_simulator_is_opened_and_those_for_gpus_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # of the process that looks
    found = {one.what: one for one in machine._simulators()}
    assert {name for name, kind in SIMULATORS.items() if kind.gpu != "needed"} == found.keys()
    assert found["torch"].ok
    monkeypatch.setattr(machine, "gpu_in_sight", lambda: True)
    found = {one.what: one for one in machine._simulators()}
    assert found.keys() == SIMULATORS.keys()
    assert found["custatevec"].seen.startswith("simulator custatevec needs a GPU by NVIDIA")
    assert "pip install 'hadamard[gpu]'" in found["custatevec"].fix


def test_a_reason_has_neither_a_class_of_ours_nor_half_a_word() -> None:
    said = "Traceback\n  File ...\nmodel.errors.DataError: there are no such sentences here. Give a TSV file\n"
    assert reason(said) == "there are no such sentences here"
    assert reason("ModuleNotFoundError: No module named 'torch'\n") == "ModuleNotFoundError: No module named 'torch'"
    long = reason(f"hadamard.model.errors.DataError: {'sentence ' * 100}")
    assert long.endswith("sentence ...")
    assert len(long) <= 300
    assert reason("") == "failed without a word"


def test_a_check_tells_what_to_do_only_where_it_must() -> None:
    assert [*text(check("Slurm", True, "/usr/bin/sbatch", "fix"))] == ["yes Slurm             /usr/bin/sbatch"]
    assert [*text(check("GPU", False, "none", "ask for one"))][1].strip() == "-> ask for one"
    assert check("Slurm", True, "/usr/bin/sbatch", "fix").fix is None


def test_ports_of_ray_are_shown_with_who_reaches_them() -> None:
    local = [Listener("127.0.0.1", 8265, "dashboard"), Listener("::ffff:127.0.0.1", 6379, "gcs_server"), Listener("::1", 7000, "raylet")]
    wide = [Listener("::", 33783, "raylet"), Listener("10.0.0.7", 20101, "ray::DashboardAgent")]
    assert listening([], in_job=False).seen == "none: no Ray of yours runs here"
    assert listening(local, in_job=False).ok
    assert listening(local, in_job=False).seen == "3 ports on the loopback interface, none on others"
    alone, in_job = listening([*local, *wide], in_job=False), listening([*local, *wide], in_job=True)
    assert (alone.ok, in_job.ok) == (False, True)
    assert "10.0.0.7:20101 (ray::DashboardAgent), :::33783 (raylet)" in alone.seen
    assert alone.fix is not None
    assert "ray stop" in alone.fix
