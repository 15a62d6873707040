"""Placement of packs: the bundles that they reserve of Ray's nodes, one for each rank, and the nodes and GPUs that their ranks get."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hadamard.cluster.allocation import GPU_MASKS
from hadamard.cluster.mpi import RankPlacement
from hadamard.cluster.steps import own_job
from hadamard.orchestrator.planning.packs import CPUS_PER_PACK, Pack
from hadamard.slurm.ray_start import NODE_LABEL, job_resource

Bundles = tuple[list[dict[str, int | float]], str]
"""What a pack reserves, and by which of Ray's strategies; its worker takes the first."""
LOOK_EVERY_S = 1.0


def reservations(packs: Sequence[Pack], job: str | None) -> dict[str, Bundles]:
    """Return what each pack reserves, by its id.

    Packs of equally many ranks reserve the same, what the largest of them needs: Tune hands what one had to the next one that wants just
    that, so a reservation for many ranks, once made, is kept while there are packs for it.

    Args:
        packs: All of a run.
        job: The Slurm job whose nodes its steps reach; None: mpiexec starts ranks on the machine of the pack's worker.
    """
    largest: dict[tuple[int, int], int] = {}
    for pack in packs:
        largest[pack.ranks, pack.gpus] = max(largest.get((pack.ranks, pack.gpus), 0), pack.memory_bytes)
    reserved = {}
    for pack in packs:
        of_one: dict[str, int | float] = {"CPU": CPUS_PER_PACK, "memory": pack.memory_bytes, "GPU": pack.gpus}
        strategy = "PACK"
        if pack.ranks > 1:
            of_one["memory"] = largest[pack.ranks, pack.gpus]
            if job is None:
                strategy = "STRICT_PACK"
            else:
                of_one[job_resource(job)] = CPUS_PER_PACK
        reserved[pack.id] = ([of_one] * pack.ranks, strategy)
    return reserved


def reached_job(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the Slurm job on whose nodes ranks can be started, if its Ray was started by our lines."""
    import ray

    job = own_job(environment)
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return job if job is not None and job_resource(job) in resources else None


def wait_for_bundles(stop_reason: Callable[[], str | None]) -> str | None:
    """Wait until this worker's pack has all of its bundles; one may be lost with its node, until Ray reserves another.

    Returns the reason of a stop that ended the wait, or None.
    """
    from ray.util import get_current_placement_group, placement_group_table

    while placement_group_table(get_current_placement_group())["state"] != "CREATED":
        if (reason := stop_reason()) is not None:
            return reason
        time.sleep(LOOK_EVERY_S)
    return None


def places(shards: int, gpus: int, job: str | None, all_gpus: bool) -> RankPlacement:
    """Return where the ranks of this worker's pack are to run: on the nodes of its bundles, those of one node next to each other.

    Args:
        shards: How many ranks share each state.
        gpus: Of each rank.
        job: As of `reservations`.
        all_gpus: Whether each rank is to see those of all ranks on its node.
    """
    import ray
    from ray.util import get_current_placement_group, placement_group_table

    names = {node["NodeID"]: node["Labels"].get(NODE_LABEL, node["NodeManagerHostname"]) for node in ray.nodes()}  # type: ignore[no-untyped-call]
    of_bundles = placement_group_table(get_current_placement_group())["bundles_to_node_id"]
    hosts = [names[of_bundles[bundle]] for bundle in sorted(of_bundles)]
    order = sorted(range(len(hosts)), key=lambda bundle: hosts.index(hosts[bundle]))
    seen = _gpus_of_bundles(len(hosts), gpus) if gpus else []
    placement = RankPlacement(tuple(hosts[bundle] for bundle in order), job, shards, tuple(seen[bundle] for bundle in order if seen))
    return placement.with_all_gpus() if all_gpus else placement


def _gpus_of_bundles(bundles: int, gpus: int) -> list[dict[str, str]]:
    """Return the GPU masks that Ray sets in the bundles of this worker's pack: in this process, and in a task in each other bundle."""
    import ray
    from ray.util import get_current_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = get_current_placement_group()
    assert group is not None

    def in_bundle(bundle: int) -> Any:
        strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=bundle)
        task = ray.remote(num_cpus=CPUS_PER_PACK, num_gpus=gpus, scheduling_strategy=strategy)(_seen_gpus)
        return task.remote()

    others: list[dict[str, str]] = ray.get([in_bundle(bundle) for bundle in range(1, bundles)])
    return [_seen_gpus(), *others]


def _seen_gpus() -> dict[str, str]:
    return {mask: os.environ[mask] for mask in GPU_MASKS if mask in os.environ}
