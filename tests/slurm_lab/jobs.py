"""Studies as jobs: submitting them by the batch script, and reading their progress. The cluster itself is in lab.py."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hadamard.model.files.trial_files import TrialFiles
from tests.conftest import ROOT
from tests.slurm_lab.lab import Lab
from tests.support.studies import TINY, write_study

QUICK_TO_NOTICE = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_memory_monitor_refresh_ms": "0",  # the nodes of the lab share one memory
}
"""Ray's word for a lost node comes within seconds instead of a minute."""


def long_study(directory: Path, epochs: int, name: str = "tiny") -> Path:
    """Write a study of five trials, of which four are of as many shapes; 150 epochs are about five seconds of work for each of these."""
    content = (
        TINY.replace("study: tiny", f"study: {name}")
        .replace("epochs: 3, batch: 8", f"epochs: {epochs}, batch: 1")
        .replace("train_per_class: 16", "train_per_class: 64")
        .replace("training.lr: [0.02, 0.1]", "head.encoder_layers: [1, 2]")
        .replace("splits: 2", "splits: 1")
    )
    return write_study(directory, content)


@dataclass(frozen=True)
class Desk:
    """A working directory on the login node of a lab."""

    lab: Lab
    directory: Path

    def sbatch(self, study: Path, nodes: Sequence[str], *options: str, run: Sequence[str] = ("--no-dashboard",), **variables: str) -> str:
        """Submit a study to these nodes, with 2 cores on each; return the job's id.

        Args:
            study: The study file.
            nodes: Where the job is to run.
            options: Further options of sbatch.
            run: Options of `hadamard run`.
            variables: Of the job's environment.
        """
        environment = {
            **QUICK_TO_NOTICE,
            "HADAMARD_BIN": str(Path(sys.executable).parent),
            "HADAMARD_SLURM": str(ROOT / "slurm"),
            **variables,
        }
        return self.lab.submit(
            f"--nodes={len(nodes)}", f"--nodelist={','.join(nodes)}", "--cpus-per-task=2", "--mem=3G", "--time=30",
            f"--output={self.directory}/%j.log", f"--chdir={self.directory}",
            f"--export=ALL,{','.join(f'{name}={value}' for name, value in environment.items())}", *options,
            str(ROOT / "slurm" / "sweep.sbatch"), str(study), *run,
        )  # fmt: skip

    def log(self, job: str) -> str:
        """Return the log of a job."""
        file = self.directory / f"{job}.log"
        return file.read_text() if file.exists() else ""

    def wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for a condition; the error of a timeout holds the logs of all jobs."""
        try:
            self.lab.wait_for(condition, seconds, what)
        except TimeoutError as error:
            logs = [f"{file.name}:\n{file.read_text()}" for file in sorted(self.directory.glob("*.log"))]
            raise AssertionError("\n".join([str(error), *logs])) from error

    def ended(self, job: str, seconds: float) -> str:
        """Wait for a job's end; return its state, and fail with its log if there is none in time."""
        try:
            return self.lab.end_of(job, seconds)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.log(job)}") from error


@dataclass(frozen=True)
class Progress:
    """What a study's directory holds at the moment."""

    directory: Path

    @property
    def journals(self) -> dict[str, list[dict[str, Any]]]:
        """Events by trial."""
        return {path.name: TrialFiles(path).events() for path in sorted(self.directory.glob("trials/*"))}

    @property
    def done(self) -> set[str]:
        """Trials that have a result."""
        return {path.parent.name for path in self.directory.glob("trials/*/result.json")}

    @property
    def in_training(self) -> dict[str, str]:
        """Trials in their epochs, with the node of each."""
        return {
            key: next(event["host"] for event in reversed(events) if event["event"] == "started")
            for key, events in self.journals.items()
            if events and events[-1]["event"] == "epoch"
        }

    def hosts(self) -> set[str]:
        """Nodes that have trained something."""
        return {event["host"] for events in self.journals.values() for event in events if event["event"] == "started"}

    def causes(self) -> Counter[str]:
        """How often an attempt was cut short or failed, by cause."""
        return Counter(event["cause"] for events in self.journals.values() for event in events if event["event"] in ("stopped", "failed"))

    def table(self) -> str:
        """The report's table of results."""
        return (self.directory / "report" / "results.csv").read_text()

    def mlflow_runs(self, study: str) -> list[str]:
        """Names of the runs in MLflow, the study's own left out."""
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.directory.absolute().parent / 'mlflow.db'}")
        experiment = client.get_experiment_by_name(study)
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
        return [run.info.run_name for run in runs if run.info.run_name != study]


def assert_each_trial_once(progress: Progress, trials: int, study: str = "tiny") -> None:
    """Assert that ledger and MLflow hold every trial, and hold it once."""
    assert len(progress.done) == trials
    for key, events in progress.journals.items():
        assert [event["event"] for event in events].count("done") == 1, key
        epochs = [event["epoch"] for event in events if event["event"] == "epoch"]
        assert epochs == sorted(set(epochs)), f"{key}: an epoch is told twice"
    assert sorted(progress.mlflow_runs(study)) == sorted(progress.done)


def environment_of(pid: int) -> dict[str, str]:
    """Return a process's environment."""
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def owner_record(directory: Path) -> dict[str, Any]:
    """Return the record of the driver that has, or last had, a study."""
    return dict(json.loads(max((directory / "owner").glob("*.json")).read_text()))
