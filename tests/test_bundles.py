"""What packs reserve of Ray: a bundle for each rank, on nodes that their launcher reaches, in an order that starves nobody."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.allocation import Allocation
from orchestrator.bundles import in_order, reservations
from orchestrator.packs import Pack
from orchestrator.sharing import Sharing
from slurm.ray_start import SERVICES, start_command

GIB = 2**30


def pack(name: str, ranks: int = 1, memory_gib: int = 1, gpus: int = 0) -> Pack:
    return Pack(name, (), memory_gib * GIB, gpus, None, Sharing(ranks, ranks))


def test_each_rank_has_a_bundle_of_its_own_on_nodes_of_the_job() -> None:
    reserved = reservations([pack("one", gpus=1), pack("four", 4, 2)], "7")
    assert reserved["one"] == ([{"CPU": 1, "memory": GIB, "GPU": 1}], "PACK")
    assert reserved["four"] == ([{"CPU": 1, "memory": 2 * GIB, "GPU": 0, "slurm-job-7": 1}] * 4, "PACK")


def test_mpiexec_has_all_ranks_on_one_machine() -> None:
    assert reservations([pack("four", 4)], None) == {"four": ([{"CPU": 1, "memory": GIB, "GPU": 0}] * 4, "STRICT_PACK")}


def test_packs_of_equally_many_ranks_want_the_same_so_that_a_place_for_them_is_handed_on() -> None:
    reserved = reservations([pack("a", 4, 2), pack("b", 4, 3), pack("c", 2, 1), pack("d", 1, 1), pack("e", 1, 9)], None)
    assert {name: bundles[0]["memory"] / GIB for name, (bundles, _) in reserved.items()} == {"a": 3, "b": 3, "c": 1, "d": 1, "e": 9}


def test_packs_of_many_ranks_are_started_first_and_the_others_in_their_order() -> None:
    assert [one.id for one in in_order([pack("a"), pack("b", 2), pack("c"), pack("d", 4)])] == ["d", "b", "a", "c"]


def test_nodes_of_a_job_say_whose_they_are_and_what_slurm_calls_them() -> None:
    ports = {name: 20_010 for name in SERVICES}
    allocation = Allocation(3, GIB, 0, "Slurm job 7")
    command = start_command("n2", "7", "10.0.0.2", "10.0.0.1:20000", ports, allocation, Path("/tmp/x"), dashboard=False)
    assert "--labels=slurm-node=n2" in command
    (resources,) = (word for word in command if word.startswith("--resources="))
    assert json.loads(resources.partition("=")[2]) == {"slurm-job-7": 3}
