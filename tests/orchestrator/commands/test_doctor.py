"""`hadamard doctor`: what each check makes of what it sees, in and outside a Slurm job."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.cluster import file_systems
from hadamard.cluster.steps import step, step_environment
from hadamard.model.simulators.registry import SIMULATORS
from hadamard.orchestrator.commands.doctor import machine
from hadamard.orchestrator.commands.doctor.check import check, reason, text
from hadamard.orchestrator.commands.doctor.directories import scratch, scratch_check
from hadamard.orchestrator.commands.doctor.job import RayNode, compare, find_cluster
from hadamard.slurm.allocated import AllocatedResources, parse, try_step

GIB = 2**30
DETAILS = """\
JobId=1 JobName=sweep
   NodeList=n[1-3],big1
   JOB_GRES=gpu:6
     Nodes=n[1-2] CPU_IDs=2-3 Mem=1500 GRES=gpu:2(IDX:0-1)
     Nodes=n3 CPU_IDs=0-3,8 Mem=0 GRES=
     Nodes=big1 CPU_IDs=7 Mem=4096 GRES=gpu:a100:1(IDX:2),gpu:h100:3(IDX:4-6),shard:9(0/4)
   MinCPUsNode=2 MinMemoryNode=1500M
"""


def test_what_slurm_gave_is_read_from_its_words() -> None:
    assert parse(DETAILS) == {
        "n[1-2]": AllocatedResources(2, 2, 1500 * 2**20),
        "n3": AllocatedResources(5, 0, None),
        "big1": AllocatedResources(1, 4, 4 * GIB),
    }
    assert parse("") == {}


def test_a_step_shares_what_the_job_has_and_inherits_no_geometry() -> None:
    assert step("7", ["true"], ["--mpi=pmix"]) == ["srun", "--jobid=7", "--overlap", "--mem=0", "--mpi=pmix", "true"]
    inherited = {"SLURM_NTASKS_PER_NODE": "4", "SLURM_JOB_ID": "7", "SLURM_CONF": "/etc/slurm.conf", "PMI_RANK": "0", "PATH": "/bin"}
    assert set(step_environment(inherited)) == {"SLURM_JOB_ID", "SLURM_CONF", "PATH"}


def test_a_step_that_fails_says_why_in_one_line() -> None:
    assert try_step(["true"]) is None
    assert try_step(["sh", "-c", "echo not here >&2; echo more >&2; exit 3"]) == "not here"
    assert try_step(["false"]) == "exit code 1"
    assert try_step(["sleep", "9"], timeout_s=0.1) == "did not end within 0.1 s"
    assert try_step(["no-such-srun"]) == "no no-such-srun on PATH"


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


MOUNTS = """\
22 1 0:21 / / rw - ext4 /dev/sda rw
23 22 0:22 / /scratch rw shared:1 - tmpfs tmpfs rw
24 22 0:23 / /scratch/my\\040files rw - lustre 10.0.0.1@o2ib:/all rw
25 22 0:24 / /home rw - autofs auto rw
26 25 0:25 / /home rw - nfs4 server:/home rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "shared"),
    [
        ("/etc", "ext4", False),
        ("/scratch/a", "tmpfs", False),
        ("/scratchy", "ext4", False),
        ("/scratch/my files/b", "lustre", True),
        ("/home/me", "nfs4", True),
    ],
)
def test_the_kind_of_a_file_system(path: str, kind: str, shared: bool, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert file_systems.kind(Path(path), mounts) == kind
    assert file_systems.is_shared(kind) == shared


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
