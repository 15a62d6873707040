"""What packs reserve of Ray's nodes: a bundle for each rank; and on which nodes the ranks of a pack are then to be started.

Owns the bundles, their strategy, and the way from a bundle to a node as Slurm names it. Does not own who runs what, nor how ranks are
started.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence

from cluster.mpi import Places
from cluster.steps import own_job
from orchestrator.packs import CPUS_PER_PACK, Pack
from slurm.ray_start import NODE_LABEL, job_resource

Bundles = tuple[list[dict[str, int | float]], str]
"""What a pack reserves, and by which of Ray's strategies; its worker takes the first."""
LOOK_EVERY_S = 1.0


def in_order(packs: Sequence[Pack]) -> list[Pack]:
    """Return packs in the order in which they are to be started: those of many ranks first, while all nodes are free.

    Ray gives cores to whoever fits: one that needs several would wait for the last of those that need one.
    """
    return sorted(packs, key=lambda pack: -pack.ranks)


def reservations(packs: Sequence[Pack], job: str | None) -> dict[str, Bundles]:
    """Return what each pack reserves, by its id.

    Packs of equally many ranks reserve the same, what the largest of them needs: Tune hands what one had to the next one that wants just
    that, so a place for many ranks, once had, is not given up while there are packs for it.

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
    there = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return job if job is not None and job_resource(job) in there else None


def wait_for_bundles(must_stop: Callable[[], str | None]) -> str | None:
    """Wait until this worker's pack has all of its bundles, which it has at first: one may be lost with its node, until Ray finds another.

    Returns why that was not waited for, or None.
    """
    from ray.util import get_current_placement_group, placement_group_table

    while placement_group_table(get_current_placement_group())["state"] != "CREATED":
        if (why := must_stop()) is not None:
            return why
        time.sleep(LOOK_EVERY_S)
    return None


def places(shards: int, job: str | None) -> Places:
    """Return where the ranks of this worker's pack are to run: on the nodes of its bundles, those of one node next to each other."""
    import ray
    from ray.util import get_current_placement_group, placement_group_table

    names = {node["NodeID"]: node["Labels"].get(NODE_LABEL, node["NodeManagerHostname"]) for node in ray.nodes()}  # type: ignore[no-untyped-call]
    of_bundles = placement_group_table(get_current_placement_group())["bundles_to_node_id"]
    hosts = [names[of_bundles[bundle]] for bundle in sorted(of_bundles)]
    return Places(tuple(sorted(hosts, key=hosts.index)), job, shards)
