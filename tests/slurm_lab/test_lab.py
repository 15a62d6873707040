"""The lab is a cluster: several hosts, GPUs by name, a disk per node, nodes that die and jobs that come back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.slurm_lab.lab import Lab

OWN_LAB = 50
"""Numbers from one that a run of tests has to one that it may use besides."""


@pytest.mark.nodes(3)
def test_every_node_is_a_host_of_its_own_with_a_disk_of_its_own(lab: Lab, nodes: list[str], tmp_path: Path) -> None:
    everywhere = [f"--nodelist={','.join(nodes)}", "--nodes=3", "--ntasks-per-node=1"]
    work = 'hostname; cat /proc/sys/kernel/random/boot_id; hostname --ip-address; touch "$1/$(hostname)" "$HADAMARD_SCRATCH/$(hostname)"'
    said = lab.ask("srun", *everywhere, "sh", "-c", work, "work", str(tmp_path)).split()
    assert set(nodes) < set(said)
    assert len(set(said)) == 9
    assert {path.name for path in tmp_path.iterdir()} == set(nodes)
    for node in nodes:
        assert lab.run_on(node, "ls", str(lab.scratch)).stdout.split() == [node]
    assert not list(lab.scratch.iterdir())


@pytest.mark.nodes(1)
def test_gpus_are_given_by_name(lab: Lab, nodes: list[str]) -> None:
    shown = ["sh", "-c", 'echo "$SLURM_JOB_NODELIST:$CUDA_VISIBLE_DEVICES"']
    assert lab.ask("srun", f"--nodelist={nodes[0]}", "--gpus-per-node=2", *shown).strip() == f"{nodes[0]}:0,1"
    assert lab.ask("srun", f"--nodelist={nodes[0]}", *shown).strip() == f"{nodes[0]}:"


@pytest.mark.nodes(1)
def test_a_crashed_node_is_down_and_its_job_comes_back(lab: Lab, nodes: list[str], tmp_path: Path) -> None:
    output = tmp_path / "job.log"
    script = 'echo "run ${SLURM_RESTART_COUNT:-0}"; [ "$SLURM_RESTART_COUNT" ] || sleep 300'
    job = lab.submit("--requeue", "--open-mode=append", f"--nodelist={nodes[0]}", f"--output={output}", f"--wrap={script}")
    lab.wait_for(lambda: output.exists() and output.read_text(), 10, "start of the job")
    with lab.popen_on(nodes[0], "sh", "-c", "echo begun; sleep 300", stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        lab.crash(nodes[0])
        assert process.wait(5) != 0
    lab.wait_for(lambda: lab.node_states()[nodes[0]] == "down*", 60, "Slurm to notice")
    lab.boot(nodes[0])
    assert lab.end_of(job, 60) == "COMPLETED"
    assert lab.job(job)["Restarts"] == "1"
    assert [line for line in output.read_text().splitlines() if line.startswith("run")] == ["run 0", "run 1"]


@pytest.mark.nodes(1)
def test_a_job_of_a_higher_tier_sends_a_preemptible_one_back_to_the_queue(lab: Lab, nodes: list[str], tmp_path: Path) -> None:
    options = [f"--nodelist={nodes[0]}", "--exclusive", f"--output={tmp_path}/%j.log"]
    low = lab.submit("--partition=preempt", "--requeue", *options, "--wrap=sleep 300")
    lab.wait_for(lambda: lab.state(low) == "RUNNING", 10, "start of the preemptible job")
    high = lab.submit(*options, "--wrap=hostname")
    assert lab.end_of(high, 30) == "COMPLETED"
    assert lab.state(low) == "PENDING"


def test_down_leaves_nothing_behind(lab: Lab) -> None:
    lab = Lab(lab.number + OWN_LAB)
    lab.up(2)
    started = {int(word) for record in (lab.directory / "machines").iterdir() for word in record.read_text().split()[:1]}
    lab.submit("--nodes=2", "--output=/dev/null", "--wrap=sleep 300")
    lab.down()
    assert not lab.directory.exists()
    assert not [pid for pid in started if Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert f"{lab.directory.name}:" not in subprocess.run(["ip", "-oneline", "link"], capture_output=True, text=True, check=True).stdout
    assert not lab.is_up()
