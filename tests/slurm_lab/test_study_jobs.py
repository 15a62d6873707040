"""Studies on a real Slurm cluster: over several nodes, through time limits, lost nodes, cancelled jobs, and jobs that come to help."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hadamard.cluster.energy.recorder import recordings
from tests.conftest import ROOT
from tests.slurm_lab.jobs import Desk, Progress, assert_each_trial_once, environment_of, long_study, owner_record
from tests.slurm_lab.lab import NODE_PORT, Lab
from tests.support.metered import constant_trace
from tests.support.whole_runs import processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.filterwarnings("ignore")]  # four share two cores

QUICKSTART = ROOT / "configs" / "quickstart.yaml"
TRIALS = 5


@pytest.fixture
def desk(lab: Lab, embedded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A user's place on the login node."""
    monkeypatch.chdir(tmp_path)
    return Desk(lab, tmp_path)


def hadamard(*words: str) -> subprocess.CompletedProcess[str]:
    """Give a command on the login node."""
    return subprocess.run([sys.executable, "-m", "hadamard", *words], capture_output=True, text=True)


@pytest.mark.nodes(3)
@pytest.mark.takes(3)
def test_the_quickstart_runs_on_three_nodes_with_the_numbers_of_one_machine(desk: Desk, nodes: list[str]) -> None:
    job = desk.sbatch(QUICKSTART, nodes)
    assert desk.ended(job, 600) == "COMPLETED", desk.log(job)
    progress = Progress(Path("runs/quickstart"))
    assert progress.hosts() == set(nodes)
    assert progress.causes() == {}
    assert_each_trial_once(progress, 33, "quickstart")
    assert not list(processes("raylet", f"hd-{job}-"))
    assert (progress.directory / "jobs" / f"{job}-0" / "ray-logs" / nodes[2]).is_dir()
    here = hadamard("run", str(QUICKSTART), "--dir", "local/quickstart", "--no-dashboard")
    assert here.returncode == 0, here.stdout + here.stderr
    assert Progress(Path("local/quickstart")).table() == progress.table()


@pytest.mark.nodes(1)
@pytest.mark.takes(4)
def test_a_study_longer_than_the_time_limit_is_finished_by_requeued_runs(desk: Desk, nodes: list[str]) -> None:
    study, progress = long_study(desk.directory, epochs=400), Progress(Path("runs/tiny"))
    job = desk.sbatch(study, nodes, "--signal=B:USR1@90")
    desk.wait_for(lambda: bool(progress.in_training), 240, "training")
    desk.lab.shorten(job)  # from now on the signal is due
    desk.wait_for(lambda: "queued again" in desk.log(job), 200, "the early signal")
    desk.wait_for(lambda: desk.lab.state(job) == "PENDING", 30, "the job's return to the queue")
    stopped = {key: events[-1] for key, events in progress.journals.items() if events and events[-1]["event"] == "stopped"}
    assert stopped, desk.log(job)
    assert {event["cause"] for event in stopped.values()} == {"timeout"}
    for key in stopped:
        told = max((event["epoch"] for event in progress.journals[key] if event["event"] == "epoch"), default=0)
        assert saved_epoch(progress.directory / "trials" / key) == told, f"{key}: epochs after its checkpoint are trained twice"
    desk.lab.ask("scontrol", "update", f"JobId={job}", "TimeLimit=20")  # one stop says all that several would
    assert desk.ended(job, 900) == "COMPLETED", desk.log(job)
    assert int(desk.lab.job(job)["Restarts"]) >= 1
    assert set(progress.causes()) == {"timeout"}
    assert_each_trial_once(progress, TRIALS)


@pytest.mark.nodes(2)
@pytest.mark.takes(5)
def test_lost_nodes_cost_their_packs_an_attempt_and_the_study_nothing(desk: Desk, nodes: list[str]) -> None:
    study, progress = long_study(desk.directory, epochs=200), Progress(Path("runs/tiny"))
    job = desk.sbatch(study, nodes)
    desk.wait_for(lambda: nodes[1] in progress.in_training.values(), 240, "training on the second node")
    desk.lab.crash(nodes[1])
    desk.wait_for(lambda: progress.causes()["node lost"] >= 1, 120, "notice of the lost node")
    assert desk.lab.job(job)["Restarts"] == "0", "the study goes on where its driver is"
    lost, known = progress.causes()["node lost"], len(progress.done)
    desk.wait_for(lambda: len(progress.done) > known and nodes[0] in progress.in_training.values(), 240, "training on what is left")
    desk.wait_for(lambda: desk.lab.node_states()[nodes[1]].startswith("down"), 60, "Slurm's notice of the lost node")
    desk.lab.boot(nodes[1])
    desk.lab.crash(nodes[0])
    desk.wait_for(lambda: desk.lab.state(job) == "PENDING", 120, "Slurm putting a job without its head back into the queue")
    desk.lab.boot(nodes[0])
    assert desk.ended(job, 900) == "COMPLETED", desk.log(job)
    assert progress.causes()["node lost"] > lost, progress.causes()
    assert_each_trial_once(progress, TRIALS)


@pytest.mark.nodes(1)
@pytest.mark.takes(6)
def test_a_cancelled_or_preempted_job_or_a_killed_driver_loses_nothing(desk: Desk, nodes: list[str]) -> None:
    study, progress = long_study(desk.directory, epochs=120), Progress(Path("runs/tiny"))
    job = desk.sbatch(study, nodes)
    desk.wait_for(lambda: bool(progress.in_training), 240, "training")
    desk.lab.ask("scancel", job)
    assert desk.ended(job, 60) == "CANCELLED"
    assert not list(processes("hadamard.model.train", str(desk.directory)))

    job = desk.sbatch(study, nodes, "--partition=preempt")

    def trains() -> bool:
        """Whether it is this job that trains: journals that the cancelled one had no time to end are ended by its driver first."""
        return owner_record(progress.directory)["job"] == job and progress.causes()["cancelled"] > 0 and bool(progress.in_training)

    desk.wait_for(trains, 240, "training")
    urgent = desk.lab.submit(f"--nodelist={nodes[0]}", "--exclusive", "--output=/dev/null", "--wrap=hostname")
    assert desk.lab.end_of(urgent, 60) == "COMPLETED"
    desk.wait_for(lambda: desk.lab.job(job)["Restarts"] == "1", 30, "Slurm putting the preempted job back")

    def driver() -> list[int]:
        return [pid for pid in processes("hadamard", " run ", str(study)) if "SLURM_JOB_ID" in environment_of(pid)]

    known = len(progress.done)
    desk.wait_for(lambda: len(progress.done) > known and bool(progress.in_training), 180, "training")
    os.kill(driver()[0], signal.SIGKILL)
    assert desk.ended(job, 600) == "COMPLETED", desk.log(job)
    assert {"cancelled", "preempted", "driver lost"} <= set(progress.causes()), progress.causes()
    assert_each_trial_once(progress, TRIALS)


@pytest.mark.nodes(3)
@pytest.mark.takes(5)
def test_jobs_join_a_study_leave_it_and_take_over(desk: Desk, nodes: list[str]) -> None:
    study, progress = long_study(desk.directory, epochs=350), Progress(Path("runs/tiny"))
    metered = {"HADAMARD_ENERGY": f"replay:{constant_trace(desk.directory / 'trace.csv', 10.0)}"}
    first = desk.sbatch(study, nodes[:1], "--cpus-per-task=1", **metered)  # enough is left for others
    desk.wait_for(lambda: bool(progress.in_training), 240, "training")
    second = desk.sbatch(study, nodes[1:2], **metered)
    desk.wait_for(lambda: nodes[1] in progress.in_training.values(), 240, "training on the node that was lent")
    third = desk.sbatch(study, nodes[2:], **metered)
    desk.lab.ask("scancel", "--signal=USR1", "--batch", second)  # as Slurm does near the time limit
    assert desk.ended(second, 90) == "COMPLETED", desk.log(second)
    assert progress.causes()["left"] >= 1
    desk.wait_for(lambda: nodes[2] in progress.in_training.values(), 240, "training on the third node")
    desk.lab.ask("scancel", first)
    assert desk.ended(first, 60) == "CANCELLED"
    assert desk.ended(third, 600) == "COMPLETED", desk.log(third)
    assert progress.hosts() == set(nodes)
    assert_each_trial_once(progress, TRIALS)
    assert owner_record(progress.directory)["job"] == third
    recorded = {(recording.run, recording.host): recording.idle_w for recording in recordings(progress.directory)}
    assert {(1, host) for host in nodes} <= recorded.keys(), "nodes that came later have meters, too"
    assert all(idle_w == pytest.approx((10.0,), rel=0.01) for idle_w in recorded.values()), "and baselines"


@pytest.mark.nodes(2)
@pytest.mark.takes(4)
def test_two_studies_of_one_user_on_the_same_nodes_are_seen_and_do_not_disturb_each_other(desk: Desk, nodes: list[str]) -> None:
    jobs, options = {}, {"short": ("--mem=1800M",), "longer": ("--mem=1800M", "--gpus-per-node=2")}
    for name, epochs in (("longer", 250), ("short", 10)):
        place = desk.directory / name
        place.mkdir()
        dashboard = "--dashboard" if name == "longer" else "--no-dashboard"
        study = long_study(place, epochs, name)
        jobs[name] = desk.sbatch(study, nodes, *options[name], run=(dashboard, "--dir", f"{name}/runs/{name}"))
    longer = Progress(Path("longer/runs/longer"))
    desk.wait_for(lambda: set(longer.in_training.values()) == set(nodes), 240, "training on both nodes")
    assert_packs_see_no_gpu(longer.directory)
    assert_dashboard_answers(desk.lab, jobs["longer"], longer.directory, nodes)
    assert_nodes_say_nothing_without_the_token(desk.lab, nodes)
    assert_doctor_finds_what_slurm_gave(desk.lab, jobs["longer"], nodes)
    assert_status_tells(longer.directory, jobs["longer"], nodes)
    for name, job in jobs.items():
        assert desk.ended(job, 600) == "COMPLETED", desk.log(job)
        assert desk.lab.job(job)["Restarts"] == "0"
        progress = Progress(Path(name) / "runs" / name)
        assert progress.causes() == {}
        assert_each_trial_once(progress, TRIALS, name)


def assert_packs_see_no_gpu(directory: Path) -> None:
    trainers = list(processes("hadamard.model.train", str(directory)))
    assert trainers
    assert {environment_of(pid).get("CUDA_VISIBLE_DEVICES") for pid in trainers} == {""}


def assert_dashboard_answers(lab: Lab, job: str, directory: Path, nodes: list[str]) -> None:
    """On its own node, and to who has the token."""
    cluster = json.loads((directory / "jobs" / f"{job}-0" / "cluster.json").read_text())
    assert cluster["node"] == nodes[0]
    token = Path(cluster["token_file"])
    assert token.stat().st_mode & 0o777 == 0o600
    url = f"http://127.0.0.1:{cluster['dashboard_port']}/nodes?view=summary"
    said = lab.run_on(nodes[0], "curl", "-s", "-H", f"Authorization: Bearer {token.read_text()}", url).stdout
    assert {node["hostname"] for node in json.loads(said)["data"]["summary"]} == set(nodes)
    assert lab.run_on(nodes[0], "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url).stdout == "401"
    assert lab.run_on(nodes[1], "curl", "-s", url.replace("127.0.0.1", nodes[0])).returncode != 0


def assert_nodes_say_nothing_without_the_token(lab: Lab, nodes: list[str]) -> None:
    """Whatever listens on the address of the head node answers programs of other nodes by a refusal, or not at all."""
    lines = lab.run_on(nodes[0], "ss", "--listening", "--tcp", "--numeric", "--no-header").stdout.splitlines()
    places = [line.split()[3].rpartition(":") for line in lines]
    ports = sorted({int(port) for address, _, port in places if "127.0.0.1" not in address and address != "[::1]"} - {NODE_PORT})
    assert len(ports) > 3, "the lab's nodes have Ray"
    asked = [f"http://{nodes[0]}:{port}{path}" for port in ports for path in ("/metrics", "/api/version", "/")]
    said = lab.run_on(nodes[1], "curl", "-s", "-m", "2", "-w", "\\n= %{http_code} %{url_effective}\\n", *asked).stdout
    codes = [line.split()[1] for line in said.splitlines() if line.startswith("= ")]
    assert len(codes) == len(asked)
    assert set(codes) <= {"000", "401"}, said


def assert_doctor_finds_what_slurm_gave(lab: Lab, job: str, nodes: list[str]) -> None:
    """Ray has on each node what Slurm gave: two cores and two GPUs."""
    inside = [f"--jobid={job}", "--overlap", "--mem=0", f"--nodelist={nodes[0]}", "--nodes=1", "--ntasks=1"]
    doctor = lab.ask("srun", *inside, sys.executable, "-m", "hadamard", "doctor")
    for node in nodes:
        line = next(line for line in doctor.splitlines() if node in line and "Ray" in line)
        assert line.startswith("yes"), doctor
        assert "2 GPUs" in line, doctor


def assert_status_tells(directory: Path, job: str, nodes: list[str]) -> None:
    said = hadamard("status", str(directory)).stdout
    for words in (*nodes, f"job       {job}: running", "ssh -N -L 8265:localhost:"):
        assert words in said, said


@pytest.mark.nodes(2)
@pytest.mark.parametrize("fault", ["ports taken", "path too long", "wrong interpreter"])
def test_a_node_where_ray_cannot_start_fails_the_job_with_its_name_and_the_reason(
    fault: str, desk: Desk, nodes: list[str], request: pytest.FixtureRequest
) -> None:
    study, bad, variables = long_study(desk.directory, epochs=3), nodes[1], {}
    if fault == "path too long":
        variables["HADAMARD_SCRATCH"] = str(desk.directory / "a-directory-whose-name-leaves-no-room-for-sockets")
        bad, reason = nodes[0], "too long by"
    elif fault == "ports taken":
        hog = (
            "import socket, time\n"
            "taken = [socket.create_server(('', port)) for port in range(20000, 32768)]\n"
            "print('taken', flush=True)\n"
            "time.sleep(300)"
        )
        holder = desk.lab.popen_on(bad, "sh", "-c", 'ulimit -n 20000; exec "$0" -c "$1"', sys.executable, hog, stdout=subprocess.PIPE)
        request.addfinalizer(lambda: (holder.kill(), holder.communicate()))
        assert holder.stdout
        assert holder.stdout.readline().strip() == "taken"
        reason = "are taken by other programs"
    else:
        binary = desk.directory / "bin"
        binary.mkdir()
        for name in ("hadamard", "ray"):
            (binary / name).symlink_to(Path(sys.executable).parent / name)
        interpreter = binary / "python"
        interpreter.write_text(
            f'#!/bin/sh\n[ "$(hostname)" != {bad} ] || {{ echo "wrong ELF class" >&2; exit 126; }}\nexec {sys.executable} "$@"\n'
        )
        interpreter.chmod(0o755)
        variables["HADAMARD_BIN"], reason = str(binary), "wrong ELF class"
    begin = time.monotonic()
    job = desk.sbatch(study, nodes, **variables)
    assert desk.ended(job, 90) == "FAILED", desk.log(job)
    assert time.monotonic() - begin < 90
    line = next(line for line in desk.log(job).splitlines() if reason in line)
    assert line.startswith(f"{bad}: ")
    assert desk.lab.job(job)["ExitCode"] != "0:0"
    assert not Progress(Path("runs/tiny")).done


def saved_epoch(trial: Path) -> int:
    """Return the number of epochs in a trial's checkpoint; 0 if there is none."""
    from safetensors import safe_open

    if not (file := trial / "checkpoint.safetensors").exists():
        return 0
    with safe_open(file, framework="pt") as saved:
        return int(saved.metadata()["epoch"])
