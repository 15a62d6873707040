"""Whole runs of `hadamard run` as processes, with a look at what they leave and at the processes they start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hadamard.model.files.trial_files import TrialFiles
from tests.support.studies import TINY

EPOCHS, LATE = 75, 45
"""Of the longer study; a trial in an epoch from LATE on may be done before a signal reaches it."""
LONGER = (
    TINY.replace("epochs: 3, batch: 8", f"epochs: {EPOCHS}, batch: 1")
    .replace("train_per_class: 16", "train_per_class: 64")
    .replace("training.lr: [0.02, 0.1]", "head.encoder_layers: [1, 2]")
)
"""Four shapes, each some seconds of training for its two trials: a process trains several, one after the other."""
TRIALS = 10


def start(study: Path, directory: Path, *options: str) -> subprocess.Popen[str]:
    """Begin a run; what it prints is its standard output."""
    command = [sys.executable, "-m", "hadamard", "run", str(study), "--dir", str(directory), "--no-dashboard", *options]
    ours = {"HADAMARD_ENERGY": "off", "RAY_worker_niceness": "0"}  # no time for a machine's counters; no waiting for tests that run beside
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ours | os.environ)


def run(study: Path, directory: Path, *options: str) -> tuple[int, str]:
    """Run a study to its end; return the exit code and what it printed."""
    process = start(study, directory, *options)
    output, _ = process.communicate(timeout=400)
    return process.returncode, output


def table(directory: Path) -> str:
    """Return the report's table of results."""
    return (directory / "report" / "results.csv").read_text()


def results(directory: Path) -> int:
    """Return how many trials are done."""
    return len(list(directory.glob("trials/*/result.json")))


def journals(directory: Path) -> list[list[dict[str, Any]]]:
    """Return the events of every trial."""
    return [TrialFiles(path).events() for path in directory.glob("trials/*")]


def last_attempts(directory: Path) -> list[list[dict[str, Any]]]:
    """Journals of trials that were begun and have no result."""
    return [events for path in directory.glob("trials/*") if (events := TrialFiles(path).events()) and not (path / "result.json").exists()]


def stamps(directory: Path) -> dict[str, int]:
    """When each result was written: one that is done again gets a new time."""
    return {str(path): path.stat().st_mtime_ns for path in directory.glob("trials/*/result.json")}


def mlflow_names(directory: Path) -> list[str]:
    """Return the names of the runs in MLflow, the study's own among them."""
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


def trainers(directory: Path) -> list[int]:
    """Process ids of the training processes of this study."""
    return list(processes("hadamard.model.train", str(directory)))


def processes(*words: str) -> Iterator[int]:
    """Yield the process ids, of whatever user and node, whose command line has all these words in it."""
    for process in Path("/proc").iterdir():
        try:
            line = (process / "cmdline").read_bytes().decode().replace("\0", " ")
        except (OSError, UnicodeDecodeError):
            continue
        if process.name.isdigit() and all(word in line for word in words):
            yield int(process.name)


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
    """Return the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def until(condition: Callable[[], bool], seconds: float = 180.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
