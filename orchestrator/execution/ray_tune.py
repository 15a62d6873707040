"""The sweep: Ray Tune schedules one Tune trial per pack over the trials that the ledger owes. Results are in the ledger; Tune may die."""

from __future__ import annotations

import logging
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hadamard.cluster.allocation import OUR_RAY, Allocation
from hadamard.model.files.causes import Cause
from hadamard.model.files.trial_files import PackFiles
from hadamard.orchestrator.execution import local_ray
from hadamard.orchestrator.execution.budget_guard import Limits
from hadamard.orchestrator.execution.local_ray import Dashboard
from hadamard.orchestrator.execution.placement import reached_job, reservations
from hadamard.orchestrator.execution.signals import SIGNALS
from hadamard.orchestrator.execution.worker import run_here
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.planning.packs import Pack, starting_order
from hadamard.slurm.cluster_file import Cluster

MOST_MOVES = 100
"""How often Tune starts a pack again whose worker is gone. Retries are decided by cause, in `retry_policy`, and a node that is drained
costs its packs a move each: this only ends packs that never begin to run."""
RAY_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # signals are the driver's
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what a worker without a GPU sees is left as it is: its pack is shown none
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
}


@contextmanager
def ray_cluster(allocation: Allocation, dashboard: bool) -> Iterator[Dashboard | None]:
    """Join the Ray of this Slurm job, if it has one, or start one on this machine; leave it at the end.

    Yields the dashboard of a Ray that was started here, or None where there is none.

    Raises:
        UserError: Ray does not start.
    """
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a worker that is gone is no error: its pack is started again
    with _joined(Path(os.environ[OUR_RAY])) if OUR_RAY in os.environ else local_ray.started(allocation, dashboard) as found:
        yield found


@contextmanager
def _joined(cluster_file: Path) -> Iterator[None]:
    import ray

    ray.init(Cluster.read(cluster_file).address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def run_packs(ledger: Ledger, packs: Sequence[Pack], name: str, run: int, limits: Limits, metered: bool) -> None:
    """Run the packs over the Ray cluster to their end, or until the study stops: each pack is one Tune trial.

    What went wrong with a trial is in its journal.

    Args:
        ledger: The study's directory.
        packs: What is owed.
        name: The study's.
        run: The number of the driver's term: its owner record says whether to stop.
        limits: What they may be begun within.
        metered: Whether nodes have meters, whose start packs wait for.
    """
    from ray import tune

    directories = {pack.id: _write_pack(ledger, pack) for pack in starting_order(packs)}
    job = reached_job()
    reserved = reservations(packs, job)
    trainable = tune.with_resources(run_here, lambda config: tune.PlacementGroupFactory(*reserved[config["pack"]]))
    shutil.rmtree(ledger.tune, ignore_errors=True)  # Tune's own state is never used again
    tuner = tune.Tuner(
        trainable,
        param_space={
            "pack": tune.grid_search(list(directories)),
            "directories": {key: str(path) for key, path in directories.items()},
            "gpus": {pack.id: pack.gpus for pack in packs},
            "ranks": {pack.id: pack.ranks for pack in packs},
            "shards": {pack.id: pack.shards for pack in packs},
            "all_gpus": {pack.id: pack.all_gpus for pack in packs},
            "expected_s": {pack.id: pack.seconds for pack in packs},
            "budget": limits.budget.model_dump(),
            "deadline_s": limits.deadline_s,
            "metered": metered,
            "job": job,
            "working_directory": os.getcwd(),
            "study": str(ledger.directory.absolute()),
            "run": run,
        },
        tune_config=tune.TuneConfig(reuse_actors=True, trial_name_creator=_pack_name, trial_dirname_creator=_pack_name),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(ledger.tune.absolute()),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=MOST_MOVES),
            callbacks=[_keep_signals()],
        ),
    )
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # Tune's own handlers end at once what ours stop gracefully
    try:
        results = tuner.fit()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    for result in map(results.__getitem__, range(len(results))):
        if result.error is not None and result.config is not None:
            _record_failure(PackFiles(Path(directories[result.config["pack"]])), result.error)


def _keep_signals() -> Any:
    """Return a callback that restores the present signal handlers after Tune has set its own, and unblocks signals."""
    from ray import tune

    class KeepSignals(tune.Callback):
        def __init__(self) -> None:
            self.handlers = {number: signal.getsignal(number) for number in SIGNALS}

        def setup(self, *_arguments: object, **_more: object) -> None:
            for number, handler in self.handlers.items():
                signal.signal(number, handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

        def __getstate__(self) -> dict[str, object]:
            return {}  # Tune saves its callbacks, for a `Tuner.restore` that is never used

    return KeepSignals()


def _record_failure(pack: PackFiles, error: Exception) -> None:
    """Record that a pack's workers ended again and again, as the failure of those of its trials that have neither result nor failure."""
    for files in (files for files in pack.trials if not files.result.exists()):
        events = files.events()
        if not events or events[-1]["event"] != "failed":
            files.append("failed", cause=Cause.WORKER_LOST, message=f"no worker could be kept for it: {str(error)[-1000:]}")


def _write_pack(ledger: Ledger, pack: Pack) -> Path:
    files = PackFiles((ledger.packs / pack.id).absolute())
    files.write([ledger.files(trial) for trial in pack.trials])
    return files.directory


def _pack_name(trial: Any) -> str:
    return str(trial.config["pack"])
