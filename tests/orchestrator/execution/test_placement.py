"""What packs reserve of Ray: a bundle for each rank, on nodes that their launcher reaches, in an order that starves nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hadamard.cluster.allocation import Allocation
from hadamard.orchestrator.execution.placement import reservations
from hadamard.orchestrator.planning.packs import Pack, starting_order
from hadamard.orchestrator.planning.rank_layout import RankLayout
from hadamard.slurm.ray_start import SERVICES, start_command

GIB = 2**30


def pack(name: str, ranks: int = 1, memory_gib: int = 1, gpus: int = 0) -> Pack:
    return Pack(name, (), memory_gib * GIB, gpus, None, RankLayout(ranks, ranks))


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
    assert [one.id for one in starting_order([pack("a"), pack("b", 2), pack("c"), pack("d", 4)])] == ["d", "b", "a", "c"]


def test_nodes_of_a_job_say_whose_they_are_and_what_slurm_calls_them() -> None:
    ports = {name: 20_010 for name in SERVICES}
    allocation = Allocation(3, GIB, 0, "Slurm job 7")
    command = start_command("n2", "7", "10.0.0.2", "10.0.0.1:20000", ports, allocation, Path("/tmp/x"), dashboard=False)
    assert "--labels=slurm-node=n2" in command
    (resources,) = (word for word in command if word.startswith("--resources="))
    assert json.loads(resources.partition("=")[2]) == {"slurm-job-7": 3}


TWO_RANKS_WITH_GPUS = """
import dataclasses, sys
from pathlib import Path
from hadamard.cluster.allocation import Allocation
from hadamard.orchestrator.study.budget import Budget
from hadamard.orchestrator.planning.packs import pack_up
from hadamard.orchestrator.execution.driver import embed
from hadamard.orchestrator.execution.budget_guard import Limits
from hadamard.orchestrator.planning.rank_layout import RankLayout
from hadamard.orchestrator.execution.ray_tune import ray_cluster, run_packs
from rich.console import Console
from tests.support.studies import entered, read

plan = read(Path(sys.argv[1]))
allocation = Allocation(3, 8 * 2**30, 3, "the test")
embed(plan.trials, allocation, Console())
quantum = next(pack for pack in pack_up(plan.trials, allocation) if pack.trials[0].arm != "logistic")
one, two = [dataclasses.replace(quantum, id=name, trials=quantum.trials[place : place + 1]) for place, name in enumerate(("one", "two"))]
free = Limits(Budget(), None)
with ray_cluster(allocation, dashboard=False):
    packs = [one, dataclasses.replace(two, gpus=1, layout=RankLayout(2, 1))]
    run_packs(entered(Path(sys.argv[1]) / "run", plan), packs, "gpus", 1, free, metered=False)
"""
TELL_WHAT_IS_SEEN = """
import atexit, os, sys
if "hadamard.model.train" in sys.orig_argv:
    atexit.register(lambda: open(os.environ["SEEN"], "a").write(f"{sys.orig_argv[3]} {os.environ['CUDA_VISIBLE_DEVICES']}\\n"))
"""


@pytest.mark.slow
def test_each_rank_sees_the_gpu_that_ray_gave_its_bundle_and_beside_it_runs_a_pack_of_one_process(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(TELL_WHAT_IS_SEEN)
    seen = tmp_path / "seen"
    variables = {"PYTHONPATH": f"{tmp_path}:{os.getcwd()}", "SEEN": str(seen), "CUDA_VISIBLE_DEVICES": "4,5,7"}
    done = subprocess.run(
        [sys.executable, "-c", TWO_RANKS_WITH_GPUS, str(tmp_path)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    masks = [(Path(directory).name, mask) for directory, _, mask in (line.partition(" ") for line in seen.read_text().splitlines())]
    of_ranks = [mask for name, mask in masks if name == "two"]
    assert len(set(of_ranks)) == len(of_ranks) == 2, masks
    assert set(of_ranks) <= {"4", "5", "7"}
    assert ("one", "") in masks
    assert len(list((tmp_path / "run").glob("trials/*/result.json"))) == 2
