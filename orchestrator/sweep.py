"""The sweep: Ray Tune schedules one Tune trial per pack over what the ledger still owes.

Owns Ray's start and stop and the trainable that runs a pack on a node. Does not own results: those are in the ledger, and Tune may die.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.allocation import Allocation
from cluster.energy import Energy, open_meter
from cluster.launch import Outcome, run_pack
from model.journal import PackFiles, TrialFiles
from orchestrator.ledger import Ledger
from orchestrator.packs import CPUS_PER_PACK, Pack
from orchestrator.retries import run_with_retries

OBJECT_STORE_BYTES = 80_000_000  # Ray's minimum is about 75 MB; packs pass nothing through it
LOST_NODE_RETRIES = 3
RAY_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # signals are the driver's: the sweep ends by KeyboardInterrupt
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what a worker without a GPU sees is left as it is: its pack is shown none
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
}


@contextmanager
def ray_cluster(allocation: Allocation, dashboard: bool) -> Iterator[str | None]:
    """Start Ray on this machine with what the allocation gives, or join the cluster named by RAY_ADDRESS; leave it at the end.

    Yields the dashboard's URL, or None where it is not running.
    """
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    if "RAY_ADDRESS" in os.environ:
        context = ray.init(log_to_driver=False, logging_level=logging.ERROR)
    else:
        context = ray.init(
            address="local",
            num_cpus=allocation.cpus,
            num_gpus=allocation.gpus,
            _memory=allocation.memory_bytes,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=dashboard,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=f"/tmp/hadamard-{os.getuid()}",  # socket paths end at 107 bytes, and others may own /tmp/ray
        )
    try:
        yield f"http://{context.dashboard_url}" if context.dashboard_url else None
    finally:
        ray.shutdown()


def run_packs(ledger: Ledger, packs: Sequence[Pack], name: str) -> None:
    """Run the packs to their end over the Ray cluster: each pack is one Tune trial. What went wrong with a trial is in its journal."""
    from ray import tune

    directories = {pack.id: _write_pack(ledger, pack) for pack in packs}
    needs: dict[str, dict[str, int | float]] = {
        pack.id: {"CPU": CPUS_PER_PACK, "memory": pack.memory_bytes, "GPU": pack.gpus} for pack in packs
    }
    trainable = tune.with_resources(_run_pack, lambda config: tune.PlacementGroupFactory([needs[config["pack"]]]))
    shutil.rmtree(ledger.tune, ignore_errors=True)  # Tune's own state is never used again
    tuner = tune.Tuner(
        trainable,
        param_space={
            "pack": tune.grid_search(list(directories)),
            "directories": {key: str(path) for key, path in directories.items()},
            "gpus": {pack.id: pack.gpus for pack in packs},
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
    tuner.fit()


def _run_pack(config: dict[str, Any]) -> None:
    """Run one pack; this is what Ray starts on a node, in a worker process."""
    from ray import tune

    os.chdir(config["working_directory"])  # relative paths in the environment, such as a trace to replay, mean this one
    pack = PackFiles(Path(config["directories"][config["pack"]]))
    gpus = config["gpus"][config["pack"]]
    meter = open_meter(gpus)
    files = pack.trials
    reported = -1

    def report_progress() -> None:
        nonlocal reported
        done = sum(one.result.exists() for one in files)
        if done > reported:
            reported = done
            tune.report({"trials_done": done, "trials": len(files)})

    def launch() -> Outcome:
        open_trials = [one for one in files if not one.result.exists()]
        meter.begin()
        outcome = run_pack(pack.directory, Path.cwd(), CPUS_PER_PACK, gpus, report_progress)
        energy = meter.end()
        if energy is not None and outcome.cause is None:  # a process that died took joules which no trial can be charged with
            _attribute(energy, [one for one in open_trials if one.result.exists()])
        return outcome

    try:
        run_with_retries(pack.directory, launch)
    except Exception as error:  # Tune would only try the same again; the journal is where a user looks
        for one in (one for one in files if not one.result.exists()):
            with contextlib.suppress(OSError):
                one.append("failed", cause="error", message=f"{type(error).__name__}: {error}", traceback=traceback.format_exc()[-4000:])
    report_progress()


def _attribute(energy: Energy, finished: Sequence[TrialFiles]) -> None:
    """Share a pack's joules among the trials it finished, by their seconds; one that was begun before has used more than is known."""
    journals = {one: one.events() for one in finished}
    seconds = {
        one: max((event["seconds"] for event in events if event["event"] == "done"), default=0.0) for one, events in journals.items()
    }
    for one, events in journals.items():
        if sum(event["event"] == "started" for event in events) == 1 and sum(seconds.values()):
            joules = energy.energy_j * seconds[one] / sum(seconds.values())
            method = f"{energy.method}, shared by seconds"
            one.append("energy", energy_j=joules, scope=energy.scope, method=method, window_s=energy.window_s)


def _write_pack(ledger: Ledger, pack: Pack) -> Path:
    files = PackFiles((ledger.packs / pack.id).absolute())
    files.write([ledger.files(trial) for trial in pack.trials])
    return files.directory


def _pack_name(trial: Any) -> str:
    return str(trial.config["pack"])
