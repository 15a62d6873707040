"""The worker: what Ray runs on a node, one pack to its end, or until its study stops or its node is drained."""

from __future__ import annotations

import json
import logging
import os
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hadamard.cluster.energy.recorder import IDLE_S, is_ready
from hadamard.cluster.launch import Outcome, run_pack
from hadamard.cluster.node_drain import NodeDrain, node_name
from hadamard.model.files.atomic import read_json, write_atomically
from hadamard.model.files.causes import Cause
from hadamard.model.files.trial_files import PackFiles
from hadamard.model.logs import log_to, survived, warn_once
from hadamard.orchestrator.execution.budget_guard import Limits, why_no_room
from hadamard.orchestrator.execution.node_meters import nodes_alive
from hadamard.orchestrator.execution.placement import places, wait_for_bundles
from hadamard.orchestrator.execution.retry_policy import run_with_retries
from hadamard.orchestrator.ledger.claim import stop_requested
from hadamard.orchestrator.ledger.resource_log import PackRecord, holding
from hadamard.orchestrator.planning.packs import CPUS_PER_PACK
from hadamard.orchestrator.study.budget import Budget

logger = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0
METER_S = IDLE_S + 30.0
"""How long a node's meter may take to start; without it, its joules are not measured."""
NODE_DEATH_S = 20.0
"""Ray asks a silent node five times, 3 s apart, before it calls it dead; by then it may have started the node's packs elsewhere."""


def run_here(config: dict[str, Any]) -> None:
    """Run one pack; Ray calls this on a node, in a worker process.

    Where the node is drained, the pack's work is saved and its resources held until the node is gone: only then does Ray start the pack
    elsewhere. It returns when the pack has ended, or the study is to stop.
    """
    os.chdir(config["working_directory"])  # relative paths in the environment, such as a trace to replay, mean this one
    study, run, drain = Path(config["study"]), int(config["run"]), NodeDrain.here()
    pack = PackFiles(Path(config["directories"][config["pack"]]))
    log_to(study / "logs" / f"{node_name()}.log")

    def stop_reason() -> str | None:
        return stop_requested(study, run) or (Cause.LEFT if drain.draining else None)

    with drain.using():
        stopped_by = _run_to_the_end(pack, config, stop_reason)
    logger.info("pack %s: %s", config["pack"], "ended" if stopped_by is None else f"stopped ({stopped_by})")
    while stopped_by == Cause.LEFT and stop_requested(study, run) is None:
        time.sleep(LOOK_EVERY_S)


def _run_to_the_end(pack: PackFiles, config: dict[str, Any], stop_reason: Callable[[], str | None]) -> str | None:
    """Run a pack until each trial has a result or has failed for good, or it must stop; return the reason of the stop."""
    from ray import tune

    files, study, run = pack.trials, Path(config["study"]), int(config["run"])
    ranks, shards, gpus = (int(config[name][config["pack"]]) for name in ("ranks", "shards", "gpus"))
    record, expected_s = PackRecord(study, run, config["pack"]), config["expected_s"][config["pack"]]
    reported = -1

    def report_progress() -> None:
        nonlocal reported
        done = sum(trial.result.exists() for trial in files)
        if done > reported:
            reported = done
            tune.report({"trials_done": done, "trials": len(files)})

    def launch() -> Outcome:
        undone = [trial for trial in files if not trial.result.exists()]
        placement = None
        if ranks > 1:
            if (reason := wait_for_bundles(stop_reason)) is not None:
                return Outcome(Cause.STOPPED, reason)
            placement = places(shards, gpus, config["job"], config["all_gpus"][config["pack"]])
        held = holding(placement, gpus)
        if config["metered"]:
            _wait_for_meters(study, run, held, stop_reason)
        logger.info("pack %s: launched for %d trials on %s", config["pack"], len(undone), ", ".join(held))
        record.begin(held, expected_s, len(undone))
        outcome = None
        try:
            outcome = run_pack(pack.directory, Path.cwd(), CPUS_PER_PACK, gpus, report_progress, stop_reason, placement)
        finally:
            record.end(outcome.cause if outcome else Cause.ERROR, sum(trial.result.exists() for trial in undone))
        if outcome.cause not in (None, Cause.STOPPED):
            logger.warning("pack %s: its process ended: %s (%s)", config["pack"], outcome.cause, outcome.message.partition("\n")[0][:200])
        return outcome

    try:
        if config["metered"]:
            _wait_for_meters(study, run, [node_name()], stop_reason)
        limits = Limits(Budget(**config["budget"]), config["deadline_s"])
        stopped_by = stop_reason() or why_no_room(study, limits, expected_s, ranks)
        if stopped_by is not None:  # nothing was begun, so nothing is recorded
            report_progress()
            return stopped_by
        lost = _take_over(pack, run)
        stopped_by = run_with_retries(pack.directory, launch, stop_reason, lost, run)
    except Exception as error:  # Tune would only try the same again; the journal is where a user looks
        warn_once(logger, f"pack {config['pack']} cannot be run: its trials fail", error)
        stopped_by = Cause.SUPERSEDED if stop_reason() == Cause.SUPERSEDED else None
        for trial in (trial for trial in files if stopped_by is None and not trial.result.exists()):
            with survived(logger, "the failure is in no journal: its trials are owed", OSError):
                trial.append(
                    "failed", cause=Cause.ERROR, message=f"{type(error).__name__}: {error}", traceback=traceback.format_exc()[-4000:]
                )
    report_progress()
    if stopped_by != Cause.SUPERSEDED:  # then all of it may be the new driver's by now
        _attempt(pack).unlink(missing_ok=True)
    return stopped_by


def _wait_for_meters(study: Path, run: int, hosts: Iterable[str], stop_reason: Callable[[], str | None]) -> None:
    """Wait, no longer than METER_S, until the meters of nodes have measured them idle: a while where this is a node's first pack."""
    deadline = time.monotonic() + METER_S
    for host in hosts:
        while not is_ready(study, run, host) and stop_reason() is None:
            if time.monotonic() >= deadline:
                warn_once(logger, "the pack begins without a meter: its joules are not measured", f"none on {host} within {METER_S:g} s")
                break
            time.sleep(0.1)


def _take_over(pack: PackFiles, run: int) -> Cause | None:
    """Record that this worker has the pack; return the cause of the end of one that had it before in this run and recorded no end."""
    import ray

    file, lost = _attempt(pack), None
    if file.exists() and (before := read_json(file, "Delete it")).get("run") == run:
        lost = cause_of_loss(before["node"], nodes_alive)
        logger.warning("pack %s: its worker before is gone: %s", pack.directory.name, lost)
    write_atomically(file, json.dumps({"run": run, "node": ray.get_runtime_context().get_node_id()}))
    return lost


def cause_of_loss(node: str, nodes_alive: Callable[[], set[str]], patience_s: float = NODE_DEATH_S) -> Cause:
    """Return the cause of a worker's silent end: its node's, if Ray says within `patience_s` that the node is dead."""
    deadline = time.monotonic() + patience_s
    while node in nodes_alive():
        if time.monotonic() >= deadline:
            return Cause.WORKER_LOST
        time.sleep(LOOK_EVERY_S)
    return Cause.NODE_LOST


def _attempt(pack: PackFiles) -> Path:
    """Return the file that exists as long as a worker has the pack."""
    return pack.directory / "attempt.json"
