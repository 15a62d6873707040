"""The meters of a study's nodes: the driver's own from its thread, each other node's from an actor that Ray keeps there.

Owns which nodes are recorded, those that come later among them. Does not own the record, nor meters.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hadamard.cluster.energy.base import Meter
from hadamard.cluster.energy.choice import VARIABLE, open_meter
from hadamard.cluster.energy.recorder import Recorder
from hadamard.cluster.node_drain import node_name

LOOK_EVERY_S = 2.0
STOP_S = 15.0


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
    watch = _Watch(study, run)
    watch.thread.start()
    try:
        yield
    finally:
        watch.end()


def nodes_alive() -> set[str]:
    """Return the ids of the nodes that Ray takes for alive; none where it does not run."""
    import ray

    return {node["NodeID"] for node in ray.nodes() if node["Alive"]} if ray.is_initialized() else set()  # type: ignore[no-untyped-call]


class NodeMeter:
    """What runs on a node: its recorder."""

    def __init__(self, study: str, run: int, asked_for: str | None, working_directory: str) -> None:
        os.chdir(working_directory)  # relative paths of traces mean the driver's
        environment = {**os.environ, **({VARIABLE: asked_for} if asked_for else {})}
        self._recorder = Recorder(Path(study), run, node_name(), open_meter(environment))
        self._recorder.start()

    def stop(self) -> None:
        """Write all."""
        self._recorder.stop()


class _Watch:
    """Looks for nodes that have no meter yet."""

    def __init__(self, study: Path, run: int) -> None:
        import ray

        self._arguments = (str(study.absolute()), run, os.environ.get(VARIABLE), os.getcwd())
        self._actors: dict[str, Any] = {ray.get_runtime_context().get_node_id(): None}
        self._over = threading.Event()
        self.thread = threading.Thread(target=self._look, name="node meters", daemon=True)

    def end(self) -> None:
        import ray

        self._over.set()
        self.thread.join(timeout=10)
        with contextlib.suppress(Exception):  # a node that is gone has written what it could
            ray.get([actor.stop.remote() for actor in self._actors.values() if actor is not None], timeout=STOP_S)

    def _look(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        remote: Any = ray.remote(num_cpus=0)(NodeMeter)
        while not self._over.is_set():
            with contextlib.suppress(Exception):  # a missing meter must not cost a study
                for node in nodes_alive() - self._actors.keys():
                    there = NodeAffinitySchedulingStrategy(node, soft=False)
                    self._actors[node] = remote.options(scheduling_strategy=there, max_restarts=-1).remote(*self._arguments)
            self._over.wait(LOOK_EVERY_S)
