"""The sweep: Ray Tune schedules one Tune trial per pack over what the ledger still owes.

Owns Ray's start and stop and the trainable that runs a pack on a node. Does not own results: those are in the ledger, and Tune may die.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.allocation import Allocation
from cluster.energy import Energy, EnergyMeter, open_meter
from cluster.launch import run_pack
from model.journal import TrialFiles, write_atomically
from orchestrator.ledger import Ledger
from orchestrator.plan import CPUS_PER_PACK, Pack
from orchestrator.retries import run_with_retries

OBJECT_STORE_BYTES = 80_000_000  # Ray's minimum is about 75 MB; packs pass nothing through it
LOST_NODE_RETRIES = 3
QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a pack without a GPU must not see one
}


@dataclass(frozen=True)
class Cluster:
    """The Ray cluster that runs the sweep."""

    dashboard: str | None
    """URL, or None where the dashboard is not running."""


@contextmanager
def ray_cluster(allocation: Allocation, dashboard: bool) -> Iterator[Cluster]:
    """Start Ray on this machine with what the allocation gives, or join the cluster named by RAY_ADDRESS; leave it at the end."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    if "RAY_ADDRESS" in os.environ:
        context = ray.init(log_to_driver=False, logging_level=logging.ERROR)
    else:
        context = ray.init(
            address="local",
            num_cpus=allocation.cpus, num_gpus=allocation.gpus, _memory=allocation.memory_bytes, object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR, _temp_dir=f"/tmp/hadamard-{os.getuid()}",
        )  # fmt: skip
    try:
        yield Cluster(f"http://{context.dashboard_url}" if context.dashboard_url else None)
    finally:
        ray.shutdown()


def run_packs(ledger: Ledger, packs: Sequence[Pack], name: str) -> None:
    """Run the packs to their end over the Ray cluster; returns early, in good order, on SIGINT or SIGTERM.

    Each pack is one Tune trial. What went wrong with a trial is in its journal; this raises only for what concerns them all.
    """
    from ray import tune

    directories = {pack.id: _write_pack(ledger, pack) for pack in packs}
    memory = {pack.id: pack.memory_bytes for pack in packs}
    trainable = tune.with_resources(
        _run_pack, lambda config: tune.PlacementGroupFactory([{"CPU": CPUS_PER_PACK, "memory": memory[config["pack"]]}])
    )
    shutil.rmtree(ledger.tune, ignore_errors=True)  # Tune's own state is never used again
    tuner = tune.Tuner(
        trainable,
        param_space={
            "pack": tune.grid_search(list(directories)),
            "directories": {key: str(path) for key, path in directories.items()},
            "working_directory": os.getcwd(),
        },
        tune_config=tune.TuneConfig(reuse_actors=True, trial_name_creator=_pack_name, trial_dirname_creator=_pack_name),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(ledger.tune.absolute()),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=LOST_NODE_RETRIES),
        ),
    )
    with _sigterm_as_sigint():
        tuner.fit()


def _run_pack(config: dict[str, Any]) -> None:
    """Run one pack; this is what Ray starts on a node, in a worker process."""
    from ray import tune

    directory = Path(config["directories"][config["pack"]])
    meter = open_meter()
    pack = json.loads((directory / "pack.json").read_text())
    files = [TrialFiles((directory / relative).resolve()) for relative in pack["trials"]]
    reported = -1

    def report_progress() -> None:
        nonlocal reported
        done = sum(one.result.exists() for one in files)
        if done > reported:
            reported = done
            tune.report({"trials_done": done, "trials": len(files)})

    def launch() -> Any:
        open_trials = [one for one in files if not one.result.exists()]
        meter.begin()
        outcome = run_pack(directory, Path(config["working_directory"]), pack["threads"], report_progress)
        _attribute(meter, [one for one in open_trials if one.result.exists()])
        return outcome

    run_with_retries(directory, launch)
    report_progress()


def _attribute(meter: EnergyMeter, finished: list[TrialFiles]) -> None:
    """Share a pack's joules among the trials it finished, by their seconds of training."""
    energy: Energy | None = meter.end()
    if energy is None:
        return
    seconds = [max((event["seconds"] for event in one.events() if event["event"] == "done"), default=0.0) for one in finished]
    for one, part in zip(finished, seconds, strict=True):
        share = part / sum(seconds) if sum(seconds) else 0.0
        one.append(
            "energy",
            energy_j=energy.energy_j * share,
            scope=energy.scope,
            method=f"{energy.method}, shared by seconds",
            window_s=energy.window_s,
        )


def _write_pack(ledger: Ledger, pack: Pack) -> Path:
    directory = (ledger.packs / pack.id).absolute()
    directory.mkdir(exist_ok=True)
    relative = [os.path.relpath(ledger.files(trial).directory, directory) for trial in pack.trials]
    write_atomically(directory / "pack.json", json.dumps({"id": pack.id, "threads": CPUS_PER_PACK, "trials": relative}, indent=1))
    return directory


def _pack_name(trial: Any) -> str:
    return str(trial.config["pack"])


@contextmanager
def _sigterm_as_sigint() -> Iterator[None]:
    """Let SIGTERM end the sweep the way Tune lets SIGINT: no new packs, workers stopped, then return."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
