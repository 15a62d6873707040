"""What Ray runs on a node: one pack to its end, or until its study stops or its node leaves.

Owns who is asked whether to stop, what became of a worker that had the pack before, and the record of what its pack holds.
Does not own the policy of retries, the pack's process, nor where Ray starts what.
"""

from __future__ import annotations

import contextlib
import json
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
from hadamard.model.files.trial_files import PackFiles
from hadamard.orchestrator.execution.budget_guard import Limits, why_no_room
from hadamard.orchestrator.execution.node_meters import nodes_alive
from hadamard.orchestrator.execution.placement import places, wait_for_bundles
from hadamard.orchestrator.execution.retry_policy import run_with_retries
from hadamard.orchestrator.ledger.causes import LEFT, SUPERSEDED
from hadamard.orchestrator.ledger.claim import stop_requested
from hadamard.orchestrator.ledger.resource_log import PackRecord, holding
from hadamard.orchestrator.planning.packs import CPUS_PER_PACK
from hadamard.orchestrator.study.budget import Budget

LOOK_EVERY_S = 1.0
METER_S = IDLE_S + 30.0
"""How long a node's meter may take to start; without it, its joules are not measured."""
NODE_DEATH_S = (
    20.0  # Ray asks a silent node five times, 3 s apart, before it calls it dead; by then it may have started the node's packs elsewhere
)


def run_here(config: dict[str, Any]) -> None:
    """Run one pack; Ray calls this on a node, in a worker process.

    Where the node leaves the study, the pack's work is saved and its place held until the node is gone: only then does Ray start the pack
    elsewhere. It returns when the pack has come to its end, or the study is to stop.
    """
    os.chdir(config["working_directory"])  # relative paths in the environment, such as a trace to replay, mean this one
    study, run, place = Path(config["study"]), int(config["run"]), NodeDrain.here()
    pack = PackFiles(Path(config["directories"][config["pack"]]))

    def stop_reason() -> str | None:
        return stop_requested(study, run) or (LEFT if place.leaving else None)

    with place.busy():
        why = _run_to_the_end(pack, config, stop_reason)
    while why == LEFT and stop_requested(study, run) is None:
        time.sleep(LOOK_EVERY_S)


def _run_to_the_end(pack: PackFiles, config: dict[str, Any], stop_reason: Callable[[], str | None]) -> str | None:
    """Run a pack until each trial has a result or has failed for good, or it must stop; return why it must."""
    from ray import tune

    files, study, run = pack.trials, Path(config["study"]), int(config["run"])
    ranks, shards, gpus = (int(config[name][config["pack"]]) for name in ("ranks", "shards", "gpus"))
    record, expected_s = PackRecord(study, run, config["pack"]), config["expected_s"][config["pack"]]
    reported = -1

    def report_progress() -> None:
        nonlocal reported
        done = sum(one.result.exists() for one in files)
        if done > reported:
            reported = done
            tune.report({"trials_done": done, "trials": len(files)})

    def launch() -> Outcome:
        undone = [one for one in files if not one.result.exists()]
        where = None
        if ranks > 1:
            if (why := wait_for_bundles(stop_reason)) is not None:
                return Outcome("stopped", why)
            where = places(shards, gpus, config["job"], config["all_gpus"][config["pack"]])
        held = holding(where, gpus)
        if config["metered"]:
            _wait_for_meters(study, run, held, stop_reason)
        record.begin(held, expected_s, len(undone))
        outcome = None
        try:
            outcome = run_pack(pack.directory, Path.cwd(), CPUS_PER_PACK, gpus, report_progress, stop_reason, where)
        finally:
            record.end(outcome.cause if outcome else "error", sum(one.result.exists() for one in undone))
        return outcome

    try:
        if config["metered"]:
            _wait_for_meters(study, run, [node_name()], stop_reason)
        limits = Limits(Budget(**config["budget"]), config["deadline_s"])
        why = stop_reason() or why_no_room(study, limits, expected_s, ranks)
        if why is not None:  # nothing was begun: there is no word to leave
            report_progress()
            return why
        lost = _take_over(pack, run)
        why = run_with_retries(pack.directory, launch, stop_reason, lost, run)
    except Exception as error:  # Tune would only try the same again; the journal is where a user looks
        why = SUPERSEDED if stop_reason() == SUPERSEDED else None
        for one in (one for one in files if why is None and not one.result.exists()):
            with contextlib.suppress(OSError):
                one.append("failed", cause="error", message=f"{type(error).__name__}: {error}", traceback=traceback.format_exc()[-4000:])
    report_progress()
    if why != SUPERSEDED:  # then all of it may be the new driver's by now
        _attempt(pack).unlink(missing_ok=True)
    return why


def _wait_for_meters(study: Path, run: int, hosts: Iterable[str], stop_reason: Callable[[], str | None]) -> None:
    """Wait until the meters of nodes have seen them idle, which takes a while where this is a node's first pack; not for ever."""
    deadline = time.monotonic() + METER_S
    for host in hosts:
        while not is_ready(study, run, host) and stop_reason() is None and time.monotonic() < deadline:
            time.sleep(0.1)


def _take_over(pack: PackFiles, run: int) -> str | None:
    """Leave word that this worker has the pack; return what became of one that had it before in this run and ended without a word."""
    import ray

    file, lost = _attempt(pack), None
    if file.exists() and (before := read_json(file, "Delete it")).get("run") == run:
        lost = what_became(before["node"], nodes_alive)
    write_atomically(file, json.dumps({"run": run, "node": ray.get_runtime_context().get_node_id()}))
    return lost


def what_became(node: str, nodes_alive: Callable[[], set[str]], patience_s: float = NODE_DEATH_S) -> str:
    """Return the cause of a worker's silent end: its node's, if Ray says within `patience_s` that the node is dead."""
    deadline = time.monotonic() + patience_s
    while node in nodes_alive():
        if time.monotonic() >= deadline:
            return "worker lost"
        time.sleep(LOOK_EVERY_S)
    return "node lost"


def _attempt(pack: PackFiles) -> Path:
    """Return the file that stands as long as a worker has the pack."""
    return pack.directory / "attempt.json"
