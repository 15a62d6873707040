"""Whole runs over real Ray: a report, kill -9 and SIGTERM at any moment, lost workers, and the same table in the end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from hadamard.model.files.trial_files import TrialFiles
from hadamard.orchestrator.ledger.notices import notices
from hadamard.orchestrator.ledger.owner_record import current
from hadamard.orchestrator.ledger.reopen import reopen
from tests.support.studies import TINY, write_study

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

EPOCHS, LATE = 75, 45
"""Of the longer study; a trial in an epoch from LATE on may be done before a signal reaches it."""
LONGER = (
    TINY.replace("epochs: 3, batch: 8", f"epochs: {EPOCHS}, batch: 1")
    .replace("train_per_class: 16", "train_per_class: 64")
    .replace("training.lr: [0.02, 0.1]", "head.encoder_layers: [1, 2]\n  head.layers: [1, 2]")
)
"""Eight shapes, each some seconds of training for its two trials: a process trains several, one after the other."""
TRIALS = 18
KILLS = 3


def start(study: Path, directory: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hadamard", "run", str(study), "--dir", str(directory), "--no-dashboard", *options]
    ours = {"HADAMARD_ENERGY": "off", "RAY_worker_niceness": "0"}  # no time for a machine's counters; no waiting for tests that run beside
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ours | os.environ)


def run(study: Path, directory: Path, *options: str) -> tuple[int, str]:
    process = start(study, directory, *options)
    output, _ = process.communicate(timeout=400)
    return process.returncode, output


def table(directory: Path) -> str:
    return (directory / "report" / "results.csv").read_text()


def results(directory: Path) -> int:
    return len(list(directory.glob("trials/*/result.json")))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, embedding_cache: Path) -> Path:
    """The longer tiny study, run once without disturbance."""
    os.environ["HADAMARD_CACHE"] = str(embedding_cache)
    parent = tmp_path_factory.mktemp("undisturbed")
    code, output = run(write_study(parent, LONGER), parent / "run")
    assert code == 0, output
    return parent / "run"


def test_a_run_ends_with_results_report_and_mlflow(undisturbed: Path) -> None:
    assert results(undisturbed) == TRIALS
    assert table(undisturbed).count("\n") == TRIALS + 1
    page = (undisturbed / "report" / "report.html").read_text()
    assert "head.qubits" in page
    assert "not measured: switched off by HADAMARD_ENERGY=off" in page
    assert "the sweep has ended" in (undisturbed / "logs" / "driver.log").read_text()
    assert notices(undisturbed) == []
    assert len(mlflow_names(undisturbed)) == TRIALS + 1


def test_the_same_command_again_does_nothing_and_keeps_the_table(undisturbed: Path) -> None:
    before, journals = table(undisturbed), stamps(undisturbed)
    code, output = run(undisturbed.parent / "study.yaml", undisturbed)
    assert code == 0
    assert "to do:     0 trials" in output
    assert table(undisturbed) == before
    assert stamps(undisturbed) == journals


def test_kill_9_of_the_driver_at_random_instants_loses_and_doubles_nothing(undisturbed: Path, tmp_path: Path) -> None:
    study, directory = write_study(tmp_path, LONGER), tmp_path / "run"
    chance = random.Random(20261122)
    finished: dict[str, int] = {}
    for number in range(KILLS):
        left = set(trainers(directory))
        process = start(study, directory)
        at = time.monotonic() + (chance.uniform(0.5, 11.0) if number % 3 < 2 else 180)
        # However long a busy machine takes to begin, some are met in training; however quick another one is, it does not come to the end.
        until(lambda at=at, left=left: time.monotonic() > at or bool(set(in_training(directory)) - left))  # type: ignore[misc]
        if number % 3 == 2:
            time.sleep(chance.uniform(0.0, 2.0))
        assert process.poll() is None, "the run ended before it could be killed: make the study longer"
        process.kill()
        process.communicate()
        now = stamps(directory)
        assert all(now[path] == stamp for path, stamp in finished.items()), "a finished trial was lost or done again"
        finished = now
    code, output = run(study, directory)
    assert code == 0, output
    assert table(directory) == table(undisturbed)
    ends = {(event["event"], event["cause"]) for events in journals(directory) for event in events if "cause" in event}
    assert ends == {("stopped", "driver lost")}, "nobody failed"
    names = mlflow_names(directory)
    assert sorted(names) == sorted(set(names))
    assert len(names) == TRIALS + 1
    assert all(stamps(directory)[path] == stamp for path, stamp in finished.items())
    assert metric_points(directory) == metric_points(undisturbed), "every curve is in MLflow once"


def test_signals_stop_gracefully_and_no_epoch_is_trained_twice(undisturbed: Path, tmp_path: Path) -> None:
    study, directory = write_study(tmp_path, LONGER), tmp_path / "run"
    for number, enough in ((signal.SIGTERM, 2), (signal.SIGINT, 6)):
        process = start(study, directory)
        until(lambda enough=enough: results(directory) >= enough and bool(in_training(directory)))  # type: ignore[misc]
        process.send_signal(number)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 130, output
        assert "the same command goes on where this one was" in output
        assert (directory / "report" / "report.html").exists()
        assert not trainers(directory)
        stopped = [one for one in last_attempts(directory) if one[-1]["event"] == "stopped"]
        assert stopped, "somebody was in training"
        assert {one[-1]["cause"] for one in stopped} == {"interrupted"}
        for files in map(TrialFiles, directory.glob("trials/*")):
            epochs = [event["epoch"] for event in files.events() if event["event"] == "epoch"]
            if epochs and not files.result.exists():
                with safe_open(files.checkpoint, framework="pt") as file:
                    assert json.loads(file.metadata()["epoch"]) == max(epochs), "what is trained next is the epoch after the last one"
    code, output = run(study, directory)
    assert code == 0, output
    assert "going on:" not in output, "every stop was recorded"
    assert table(directory) == table(undisturbed)
    assert not [event for events in journals(directory) for event in events if event["event"] == "failed"]


def test_what_does_not_stop_gracefully_is_ended_by_a_second_signal(tmp_path: Path) -> None:
    study, directory = write_study(tmp_path, LONGER), tmp_path / "run"
    process = start(study, directory)
    until(lambda: bool(in_training(directory)))
    deaf = in_training(directory)[0]
    os.kill(deaf, signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    until(lambda: stopping(directory))
    time.sleep(1.1)  # a second signal any sooner is an echo of the first
    assert process.poll() is None, "it waits for the one that does not listen"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=40)
    assert process.returncode == 130, output
    assert not trainers(directory)
    assert not [one for one in last_attempts(directory) if one[-1]["event"] in ("started", "epoch", "evaluated")]


def test_killed_training_processes_and_workers_are_tried_again(undisturbed: Path, tmp_path: Path) -> None:
    study, directory = write_study(tmp_path, LONGER), tmp_path / "run"
    process = start(study, directory)
    until(lambda: bool(in_training(directory)))
    os.kill(in_training(directory)[0], signal.SIGKILL)
    until(lambda: results(directory) >= 3 and bool(in_training(directory)))
    os.kill(parent_of(in_training(directory)[0]), signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert table(directory) == table(undisturbed)
    causes = {event["cause"] for events in journals(directory) for event in events if event["event"] == "failed"}
    assert causes == {"killed", "worker lost"}


def test_packs_on_a_drained_node_save_their_work_hold_and_go_on_elsewhere(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, directory, node = write_study(tmp_path, LONGER), tmp_path / "run", tmp_path / "node"
    node.mkdir()
    monkeypatch.setenv("HADAMARD_NODE_DIR", str(node))
    process = start(study, directory)
    until(lambda: results(directory) >= 2 and bool(in_training(directory)))
    workers = [int(path.name) for path in (node / "packs").iterdir()]
    assert set(map(parent_of, trainers(directory))) <= set(workers)
    (node / "leaving").touch()
    until(lambda: not any((node / "packs").iterdir()), seconds=60)
    assert not trainers(directory)
    stopped = [one[-1] for one in last_attempts(directory)]
    assert {(event["event"], event.get("cause")) for event in stopped} == {("stopped", "left")}
    assert all(Path(f"/proc/{worker}").exists() for worker in workers), "their resources are held"
    (node / "leaving").unlink()  # as if what follows were on another node
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert table(directory) == table(undisturbed)
    assert not [event for events in journals(directory) for event in events if event["event"] == "failed"]


def test_a_study_is_stopped_also_while_its_packs_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, directory, node = write_study(tmp_path, LONGER), tmp_path / "run", tmp_path / "node"
    node.mkdir()
    monkeypatch.setenv("HADAMARD_NODE_DIR", str(node))
    process = start(study, directory)
    until(lambda: bool(in_training(directory)))
    (node / "leaving").touch()
    until(lambda: not any((node / "packs").iterdir()), seconds=60)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=40)
    assert process.returncode == 130, output


def test_relative_paths_mean_the_directory_where_the_command_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{'a fine' if index % 2 else 'a dull'} film, number {index}\t{index % 2}" for index in range(80)]
    Path("mine.tsv").write_text("\n".join(["text\tlabel", *lines, ""]))
    write_study(tmp_path, TINY.replace("name: reviews, sentences: 300", "name: mine, path: mine.tsv").replace("splits: 2", "splits: 1"))
    code, output = run(Path("study.yaml"), Path("run"))
    assert code == 0, output
    assert results(tmp_path / "run") == 5


def test_a_disk_that_fills_up_ends_with_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        study = write_study(tmp_path, LONGER)
        process = start(study, disk / "run")
        until(lambda: results(disk / "run") >= 2)
        fill(disk / "ballast")
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 2, output
        assert "error: " in output
        assert "Traceback" not in output.split("error: ")[-1]
        finished = stamps(disk / "run")
        (disk / "ballast").unlink()
        code, output = run(study, disk / "run")
        assert code == 0, output
        assert all(stamps(disk / "run")[path] == stamp for path, stamp in finished.items())
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_more_splits_keep_what_is_done(tmp_path: Path) -> None:
    study, directory = write_study(tmp_path, TINY), tmp_path / "run"
    assert run(study, directory, "--set", "design.splits=1")[0] == 0
    before = stamps(directory)
    code, output = run(study, directory)
    assert code == 0, output
    assert "to do:     5 trials" in output
    assert results(directory) == 10
    assert all(stamps(directory)[path] == stamp for path, stamp in before.items())


def test_a_diverging_row_is_reported_and_the_others_are_done(tmp_path: Path) -> None:
    study, directory = write_study(tmp_path, TINY.replace("[0.02, 0.1]", "[0.02, 1.0e+30]")), tmp_path / "run"
    code, output = run(study, directory)
    assert code == 1
    assert "diverged" in output
    assert results(directory) == 10 - 4
    assert table(directory).count("diverged") == 4
    assert "diverged" in (directory / "report" / "report.html").read_text()
    ledger, plan = reopen(directory)
    assert not any(record.owed for record in ledger.records(plan.trials)), "the same settings would diverge again"


def stopping(directory: Path) -> bool:
    owner = current(directory)
    return owner is not None and owner.state == "stopping"


def journals(directory: Path) -> list[list[dict[str, Any]]]:
    return [TrialFiles(path).events() for path in directory.glob("trials/*")]


def last_attempts(directory: Path) -> list[list[dict[str, Any]]]:
    """Journals of trials that were begun and have no result."""
    return [events for path in directory.glob("trials/*") if (events := TrialFiles(path).events()) and not (path / "result.json").exists()]


def stamps(directory: Path) -> dict[str, int]:
    """When each result was written: one that is done again gets a new time."""
    return {str(path): path.stat().st_mtime_ns for path in directory.glob("trials/*/result.json")}


def mlflow_names(directory: Path) -> list[str]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{directory.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    return [run.info.run_name for run in client.search_runs([experiment.experiment_id], max_results=1000)]


def metric_points(directory: Path) -> dict[str, int]:
    """How many points of a curve each run has."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{directory.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    return {run.info.run_name: len(client.get_metric_history(run.info.run_id, "validation_loss")) for run in found}


def fill(ballast: Path) -> None:
    """Write until the disk is full."""
    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def trainers(directory: Path) -> list[int]:
    """Process ids of the training processes of this study."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if process.name.isdigit() and "hadamard.model.train" in words and any(str(directory) in word for word in words):
            found.append(int(process.name))
    return found


def in_training(directory: Path) -> list[int]:
    """Process ids of those training processes that are in the epochs of a trial just now."""
    packs = []
    for journal in directory.glob("trials/*/journal.jsonl"):
        lines = [line for line in journal.read_text().splitlines(keepends=True) if line.endswith("\n")]
        last = json.loads(lines[-1]) if lines else {"event": None}
        if last["event"] == "epoch" and last["epoch"] < LATE:
            packs.append(next(event["pack"] for event in map(json.loads, reversed(lines)) if event["event"] == "started"))
    return [pid for pack in packs for pid in trainers(directory / "packs" / pack)]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def until(condition: Callable[[], bool], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


ASK_FOR_GPUS = """
import dataclasses, os, sys
from pathlib import Path
from hadamard.cluster.allocation import Allocation
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.study.budget import Budget
from hadamard.orchestrator.planning.packs import pack_up
from hadamard.orchestrator.execution.driver import embed
from hadamard.orchestrator.execution.budget_guard import Limits
from hadamard.orchestrator.execution.ray_tune import ray_cluster, run_packs
from rich.console import Console
from tests.support.studies import entered, read

plan = read(Path(sys.argv[1]))
allocation = Allocation(2, 8 * 2**30, 2, "the test")
embed(plan.trials, allocation, Console())
first, *others = pack_up(plan.trials, allocation)
free = Limits(Budget(), None)
with ray_cluster(allocation, dashboard=False):
    run_packs(entered(Path(sys.argv[1]) / "run", plan), [dataclasses.replace(first, gpus=1), *others], "gpus", 1, free, metered=False)
print(first.id)
"""
TELL_WHAT_IS_SEEN = """
import os, sys
if "hadamard.model.train" in sys.orig_argv:
    masks = [os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")]
    open(os.environ["SEEN"], "a").write(f"{sys.orig_argv[3]} {masks[0]}.{masks[1]}\\n")
"""


def test_a_pack_that_asks_for_a_gpu_sees_the_one_that_ray_gives_and_the_others_none(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(TELL_WHAT_IS_SEEN)
    seen = tmp_path / "seen"
    places = {"PYTHONPATH": f"{tmp_path}:{os.getcwd()}", "SEEN": str(seen), "CUDA_VISIBLE_DEVICES": "4,7"}
    done = subprocess.run(
        [sys.executable, "-c", ASK_FOR_GPUS, str(tmp_path)], env={**os.environ, **places}, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    with_gpu = done.stdout.split()[-1]
    masks = {Path(line.split()[0]).name: line.split()[1] for line in seen.read_text().splitlines()}
    assert len(masks) > 1
    assert masks.pop(with_gpu) in ("4.None", "7.None")
    assert set(masks.values()) == {"."}
