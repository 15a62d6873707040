"""The meters of a study's nodes: the driver's own from its thread, each other node's from an actor that Ray keeps there."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hadamard.cluster.energy.base import Meter
from hadamard.cluster.energy.choice import VARIABLE, open_meter
from hadamard.cluster.energy.recorder import Recorder
from hadamard.cluster.node_drain import node_name
from hadamard.cluster.periodic import Periodic
from hadamard.model.logs import log_to, survived
from hadamard.orchestrator.ledger.notices import noticed

LOOK_EVERY_S = 2.0
STOP_S = 15.0
logger = logging.getLogger(__name__)


@contextlib.contextmanager
def own_meter(study: Path, run: int, meter: Meter | None) -> Iterator[None]:
    """Record this node's meter, if it has one, while this is entered; first, what the node takes while it is idle."""
    recorder = Recorder(study, run, node_name(), meter)
    try:
        if meter is not None:
            recorder.start()
        yield
    finally:
        recorder.stop()


@contextlib.contextmanager
def others_meters(study: Path, run: int) -> Iterator[None]:
    """Record the meters of all other nodes of the Ray cluster while this is entered."""
    meters = _NodeMeters(study, run)
    try:
        with Periodic("node meters", LOOK_EVERY_S, meters.start_missing):
            yield
    finally:
        meters.stop()


def nodes_alive() -> set[str]:
    """Return the ids of the nodes that are alive to Ray; none where it does not run."""
    ray = sys.modules.get("ray")  # whoever imports it fixes its access for this process: that is for who starts it (local_ray.py)
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]} if ray is not None and ray.is_initialized() else set()


class NodeMeter:
    """The actor on a node: its recorder."""

    def __init__(self, study: str, run: int, requested: str | None, working_directory: str) -> None:
        os.chdir(working_directory)  # relative paths of traces mean the driver's
        log_to(Path(study) / "logs" / f"{node_name()}.log")
        environment = {**os.environ, **({VARIABLE: requested} if requested else {})}
        self._recorder = Recorder(Path(study), run, node_name(), open_meter(environment))
        self._recorder.start()

    def stop(self) -> None:
        """Write all."""
        self._recorder.stop()


class _NodeMeters:
    """The actors of a Ray cluster's nodes."""

    def __init__(self, study: Path, run: int) -> None:
        import ray

        self._study = study
        self._arguments = (str(study.absolute()), run, os.environ.get(VARIABLE), os.getcwd())
        self._actors: dict[str, Any] = {ray.get_runtime_context().get_node_id(): None}
        self.start_missing()

    def start_missing(self) -> None:
        """Start the meters of nodes that have none yet."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        remote: Any = ray.remote(num_cpus=0)(NodeMeter)
        with noticed(self._study, "meters", "meters of nodes cannot be started: what they use is not measured"):
            for node in nodes_alive() - self._actors.keys():
                there = NodeAffinitySchedulingStrategy(node, soft=False)
                self._actors[node] = remote.options(scheduling_strategy=there, max_restarts=-1).remote(*self._arguments)

    def stop(self) -> None:
        """Stop all, so that their last readings are written; a node that is gone has written what it could."""
        import ray

        with survived(logger, f"not all meters of nodes have stopped within {STOP_S:g} s: their last readings may be missing"):
            ray.get([actor.stop.remote() for actor in self._actors.values() if actor is not None], timeout=STOP_S)
