"""`hadamard submit`: the sbatch command, what a job asks for in numbers, refusals, and the shell around sbatch, here a small script."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hadamard.model.errors import UserError
from hadamard.orchestrator.cli import app
from hadamard.orchestrator.commands import submit as verb
from hadamard.orchestrator.commands.submit import Request, submit_study
from hadamard.orchestrator.ledger.claim import OwnedError, owned
from hadamard.slurm import submit as slurm
from hadamard.slurm.requested import RequestedResources, directives, gpu_count, requested, size_bytes, time_s
from hadamard.slurm.submit import SubmitOptions, sbatch_command, shell_lines
from tests.conftest import ROOT
from tests.support.studies import write_study

SCRIPT = Path("slurm/sweep.sbatch")


# ---- the command


def options_of(command: list[str]) -> list[str]:
    return command[command.index("--parsable") + 1 : command.index(str(SCRIPT))]


def test_without_options_the_script_decides() -> None:
    assert sbatch_command(SubmitOptions(), SCRIPT, ["study.yaml"]) == ["sbatch", "--parsable", "slurm/sweep.sbatch", "study.yaml"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"nodes": 3}, "--nodes=3"),
        ({"time": "1:30:00"}, "--time=1:30:00"),
        ({"partition": "gpu,debug"}, "--partition=gpu,debug"),
        ({"account": "m1234_g"}, "--account=m1234_g"),
        ({"qos": "regular"}, "--qos=regular"),
        ({"cpus_per_node": 32}, "--cpus-per-task=32"),
        ({"mem": "0"}, "--mem=0"),
        ({"gpus_per_node": "a100:4"}, "--gpus-per-node=a100:4"),
        ({"job_name": "quick"}, "--job-name=quick"),
        ({"array": 4}, "--array=1-4"),
        ({"requeue": False}, "--no-requeue"),
        ({"extra": ("--constraint=gpu&hbm80g",)}, "--constraint=gpu&hbm80g"),
        ({"extra": ("--exclusive",)}, "--exclusive"),
        ({"logs": Path("runs/a/jobs")}, "--output=runs/a/jobs/slurm-%j.log"),
        ({"logs": Path("runs/100%j/jobs")}, "--output=runs/100%%j/jobs/slurm-%j.log"),
    ],
)
def test_each_option_of_ours_is_one_of_slurms(options: dict[str, object], expected: str) -> None:
    assert options_of(sbatch_command(SubmitOptions(**options), SCRIPT, ["study.yaml"])) == [expected]  # type: ignore[arg-type]


def test_an_arrays_jobs_have_a_log_each() -> None:
    options = options_of(sbatch_command(SubmitOptions(array=3, logs=Path("jobs")), SCRIPT, ["study.yaml"]))
    assert options == ["--array=1-3", "--output=jobs/slurm-%A_%a.log"]


def test_an_extra_option_replaces_ours() -> None:
    command = sbatch_command(SubmitOptions(mem="8G", extra=("--mem=2G",)), SCRIPT, ["study.yaml"])
    assert options_of(command) == ["--mem=2G"]


@pytest.mark.parametrize("extra", ["-C gpu", "constraint=gpu", "--", "--constraint gpu"])
def test_an_extra_option_has_slurms_long_form(extra: str) -> None:
    with pytest.raises(UserError, match="--sbatch=--constraint=gpu"):
        sbatch_command(SubmitOptions(extra=(extra,)), SCRIPT, ["study.yaml"])


def test_variables_come_first_and_the_studys_arguments_last() -> None:
    arguments = ["a study's.yaml", "--set", "head.qubits=[2, 3]", "--dir", "runs/x y"]
    command = sbatch_command(SubmitOptions(environment={"HADAMARD_SITE": "my site"}), SCRIPT, arguments)
    assert command == ["env", "HADAMARD_SITE=my site", "sbatch", "--parsable", str(SCRIPT), *arguments]


def test_the_lines_of_a_dry_run_mean_the_same_to_a_shell(tmp_path: Path) -> None:
    logs, arguments = tmp_path / 'it\'s 100% "here" $HOME' / "jobs", ["it's $(a).yaml", "--set", 'data.name="x y"']
    options = SubmitOptions(logs=logs, extra=("--comment=two words; rm *",))
    made, submitted = shell_lines(options, SCRIPT, arguments, logs, jobs=1)
    assert shlex.split(made) == ["mkdir", "-p", str(logs)]
    assert shlex.split(submitted) == sbatch_command(options, SCRIPT, arguments)


# ---- requested resources


def test_the_scripts_own_lines_are_read() -> None:
    found = directives((ROOT / SCRIPT).read_text())
    assert found["nodes"].isdigit()
    assert requested(found).memory_bytes == size_bytes(found["mem"], "mem")
    assert requested(found).early_s == int(found["signal"].partition("@")[2]) > 0
    assert found["requeue"] == found["no-kill"] == ""
    assert "#" not in "".join(found.values())


def test_lines_after_the_first_command_do_not_count() -> None:
    assert directives("#!/bin/bash\n#SBATCH --nodes=2   # two\n\n# a comment\n##SBATCH --mem=1G\necho\n#SBATCH --time=1\n") == {
        "nodes": "2"
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 5400),
        ("1:30", 90),
        ("1:30:00", 5400),
        ("2-0", 172800),
        ("1-2:30", 95400),
        ("1-02:30:15", 95415),
        ("UNLIMITED", None),
        ("0", None),
    ],
)
def test_times_are_slurms(text: str, expected: int | None) -> None:
    assert time_s(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "1h", "1:2:3:4", "1-", "-5", "1-2-3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="minutes"):
        time_s(text)


def test_sizes_are_slurms() -> None:
    assert [size_bytes(text, "mem") for text in ("8G", "512", "1.5g", "2048K", "1T", "100MB")] == [
        8 * 2**30,
        512 * 2**20,
        3 * 2**29,
        2**21,
        2**40,
        100 * 2**20,
    ]
    with pytest.raises(UserError, match="--mem lots"):
        size_bytes("lots", "mem")


def test_gpus_are_counted_in_all_their_spellings() -> None:
    spellings = [{"gpus-per-node": "4"}, {"gpus-per-node": "a100:4"}, {"gres": "nvme:1,gpu:a100:4"}, {"gres": "gpu:4"}]
    assert [gpu_count(one) for one in spellings] == [4, 4, 4, 4]
    assert [gpu_count(one) for one in ({"gres": "gpu"}, {"gres": "nvme:2"}, {})] == [1, 0, 0]
    with pytest.raises(UserError, match="a100:4"):
        gpu_count({"gpus-per-node": "many"})


def test_memory_is_that_of_a_node() -> None:
    base = {"cpus-per-task": "4", "mem": "8G", "gpus-per-node": "2"}
    assert requested(base).memory_bytes == 8 * 2**30
    assert requested(base | {"mem-per-cpu": "1G"}).memory_bytes == 4 * 2**30
    assert requested(base | {"mem-per-gpu": "3G"}).memory_bytes == 6 * 2**30
    assert requested(base | {"mem": "0"}).memory_bytes is None


def test_requested_resources_are_what_is_planned_with() -> None:
    wanted = requested({"nodes": "3", "cpus-per-task": "4", "mem": "8G", "gpus-per-node": "2", "time": "2:00:00", "signal": "B:USR1"})
    assert wanted == RequestedResources(nodes=3, cpus=4, memory_bytes=8 * 2**30, gpus=2, walltime_s=7200, early_s=60)
    allocation = wanted.allocation(1)
    assert (allocation.total_cpus, allocation.total_gpus, allocation.memory_bytes) == (12, 6, 8 * 2**30)
    assert requested({"mem": "0"}).allocation(5 * 2**30).memory_bytes == 5 * 2**30
    with pytest.raises(UserError, match="--nodes 2-4"):
        requested({"nodes": "2-4"})


# ---- what is said and refused before


def test_jobs_that_outlive_their_limit_are_announced() -> None:
    assert verb.rounds(500, 1000, None) == verb.rounds(None, 1000, None) == verb.rounds(500, None, None) == ""
    assert "queued again about 2 times" in verb.rounds(2500, 1000, None)
    assert "about 3 jobs, of which --chain gives 2" in verb.rounds(2500, 1000, 2)


def test_a_limit_that_leaves_no_time_to_train_is_refused() -> None:
    job = RequestedResources(1, 1, None, 0, walltime_s=150, early_s=120)
    with pytest.raises(UserError, match="the last 120 s are for saving"):
        verb.usable_s(job)
    assert verb.usable_s(RequestedResources(1, 1, None, 0, 3600, 120)) == 3600 - 120 - verb.START_S


def test_the_job_is_told_where_this_installation_is_unless_it_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(ROOT / ".venv" / "bin" / "python"))
    assert verb.job_environment(None, ROOT, {}) == {}
    assert verb.job_environment("frontier", ROOT, {}) == {"HADAMARD_SITE": "frontier"}
    elsewhere = verb.job_environment(None, tmp_path, {})
    assert elsewhere == {"HADAMARD_SLURM": str(ROOT / "slurm"), "HADAMARD_BIN": str(ROOT / ".venv" / "bin")}
    assert verb.job_environment(None, tmp_path, {"HADAMARD_BIN": "/mine", "HADAMARD_SLURM": "/own"}) == {}


# ---- the verb, with a program in the place of sbatch


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program on PATH that writes down its arguments and gives ids from 100; return what it has written, a call a line."""
    calls = tmp_path / "calls"
    program = tmp_path / "bin" / "sbatch"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/bash\nprintf '%q ' \"$@\" >>'{calls}'; echo >>'{calls}'\n"
        f"number=$(wc -l <'{calls}')\n"
        '[ -z "${REFUSE_FROM:-}" ] || [ "$number" -lt "$REFUSE_FROM" ] || { echo "sbatch: error: Batch job submission failed: Job violates '
        'accounting/QOS policy" >&2; exit 1; }\n'
        'for argument; do case $argument in --output=*) [ -d "$(dirname "${argument#--output=}")" ] || exit 3 ;; esac; done\n'
        'echo "$((99 + number));cluster"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return calls


def calls_of(file: Path) -> list[list[str]]:
    return [shlex.split(line) for line in file.read_text().splitlines()]


def test_a_study_is_submitted(tmp_path: Path, sbatch: Path) -> None:
    study = write_study(tmp_path).name
    done = CliRunner().invoke(
        app, ["submit", study, "--nodes", "2", "--set", "training.epochs=2", "--no-dashboard", "--sbatch=--constraint=c"]
    )
    assert done.exit_code == 0, done.output
    (call,) = calls_of(sbatch)
    assert call[: call.index(str(slurm.SCRIPT))] == [
        "--parsable",
        "--job-name=tiny",
        "--nodes=2",
        "--output=runs/tiny/jobs/slurm-%j.log",
        "--constraint=c",
    ]
    assert call[call.index(str(slurm.SCRIPT)) + 1 :] == [study, "--set", "training.epochs=2", "--no-dashboard"]
    assert "submitted: job 100\n" in done.output
    assert "runs/tiny/jobs/slurm-100.log\n" in done.output
    assert "hadamard status runs/tiny" in done.output
    assert shlex.split((tmp_path / "runs/tiny/jobs/100.sbatch").read_text())[-len(call) :] == call
    assert "10 trials of 10 owed" in done.output
    assert "2 nodes, each with 4 cores, 8.0 GiB; up to 4 h" in done.output


def test_a_chains_jobs_wait_for_each_other(tmp_path: Path, sbatch: Path) -> None:
    done = CliRunner().invoke(app, ["submit", str(write_study(tmp_path)), "--chain", "3"])
    assert done.exit_code == 0, done.output
    calls = calls_of(sbatch)
    assert all("--no-requeue" in call for call in calls)
    assert [[word for word in call if "dependency" in word] for call in calls] == [
        [],
        ["--dependency=afterany:100"],
        ["--dependency=afterany:101"],
    ]
    assert "job 100, then 101, then 102" in done.output


def test_jobs_that_join_are_one_array(tmp_path: Path, sbatch: Path) -> None:
    done = CliRunner().invoke(app, ["submit", str(write_study(tmp_path)), "--join", "--array", "4"])
    assert done.exit_code == 0, done.output
    (call,) = calls_of(sbatch)
    assert {"--array=1-4", "--no-requeue", "--output=runs/tiny/jobs/slurm-%A_%a.log"} <= set(call)
    assert "no job leads the study now" in done.output


def test_a_dry_run_prints_the_commands_and_touches_nothing(tmp_path: Path, sbatch: Path) -> None:
    study = write_study(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    shown = CliRunner().invoke(app, ["submit", str(study), "--chain", "2", "--dry-run", "--dir", "a b"])
    assert shown.exit_code == 0, shown.output
    assert sorted(tmp_path.rglob("*")) == before
    subprocess.run(["bash", "-euc", shown.stdout], check=True, cwd=tmp_path)  # what is shown, done by a shell, is what submit does
    by_shell = calls_of(sbatch)
    sbatch.unlink()
    CliRunner().invoke(app, ["submit", str(study), "--chain", "2", "--dir", "a b"])
    assert by_shell == calls_of(sbatch)


def test_a_dry_run_needs_no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    study = write_study(tmp_path)
    with pytest.raises(UserError, match="no sbatch on PATH"):
        submit_study(Request(study), SubmitOptions())
    submit_study(Request(study, dry_run=True), SubmitOptions())
    assert not (tmp_path / "runs").exists()


def test_sbatch_refuses_in_its_own_words(tmp_path: Path, sbatch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFUSE_FROM", "3")
    with pytest.raises(UserError, match=r"Job violates accounting/QOS policy.*still there: 100 101"):
        submit_study(Request(write_study(tmp_path), chain=4), SubmitOptions())
    assert len(calls_of(sbatch)) == 3


@pytest.mark.parametrize(
    ("request_options", "options", "message"),
    [
        ({}, {"mem": "600M"}, r"r00 needs about 0\.7 GiB of memory, a node of the job \(--mem\) has 0\.6"),
        ({}, {"time": "2"}, "the last 120 s are for saving"),
        ({}, {"time": "tomorrow"}, "--time tomorrow"),
        ({}, {"array": 2}, "give it with --join"),
        ({"chain": 2, "join": True}, {}, "--chain is for the job that leads"),
        ({"site": "nowhere"}, {}, "no site profile nowhere: .*generic"),
        ({"overrides": ["head.qubits=99"]}, {}, "qubits"),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_is_submitted(
    tmp_path: Path, sbatch: Path, request_options: dict[str, object], options: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        submit_study(Request(write_study(tmp_path), **request_options), SubmitOptions(**options))  # type: ignore[arg-type]
    assert not sbatch.exists()
    assert not (tmp_path / "runs").exists()


def test_all_of_a_nodes_memory_is_not_checked(tmp_path: Path, sbatch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submit_study(Request(write_study(tmp_path)), SubmitOptions(mem="0"))
    assert "--mem=0" in calls_of(sbatch)[0]
    assert "so that was not checked" in capsys.readouterr().out


def test_a_study_run_outside_slurm_is_left_to_its_driver(tmp_path: Path, sbatch: Path) -> None:
    directory = tmp_path / "runs" / "tiny"
    directory.mkdir(parents=True)
    with owned(directory, {}), pytest.raises(OwnedError, match="is being run by process"):
        submit_study(Request(write_study(tmp_path), directory=directory), SubmitOptions())
    assert not sbatch.exists()


@pytest.mark.parametrize("join", [True, False])
def test_helpers_are_told_whom_they_help(tmp_path: Path, sbatch: Path, join: bool, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "runs" / "tiny"
    directory.mkdir(parents=True)
    environment = {"SLURM_JOB_ID": "77", "SLURMD_NODENAME": "n1", "HADAMARD_CLUSTER": str(tmp_path / "cluster.json")}
    with owned(directory, environment):
        submit_study(Request(write_study(tmp_path), directory=directory, join=join), SubmitOptions())
    assert "job 77 on n1, which leads the study" in capsys.readouterr().out


def test_nothing_owed_is_no_job(tmp_path: Path, sbatch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hadamard.orchestrator.study.expansion import read_plan

    study = write_study(tmp_path)
    for trial in read_plan(study, []).trials:
        done = tmp_path / "runs" / "tiny" / "trials" / trial.key
        done.mkdir(parents=True)
        (done / "result.json").write_text('{"responses": {}, "parameters": 1}')
    shown = CliRunner().invoke(app, ["submit", str(study)])
    assert shown.exit_code == 0
    assert "nothing is owed" in shown.output
    assert not sbatch.exists()
