"""Ranks of a trial: what `auto` comes to, what is refused and in which words, and what a plan says before anything runs."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from hadamard.cluster import mpi
from hadamard.cluster.allocation import Allocation
from hadamard.model.heads.quantum.settings import encoder_and_second_module
from hadamard.model.simulators.sharded.stages import plan_stages
from hadamard.model.trial import TrialSettings
from hadamard.orchestrator.commands.plan import show_plan
from hadamard.orchestrator.planning.cost_estimate import packs_seconds
from hadamard.orchestrator.planning.feasibility import check_feasible, missing_for_mpi
from hadamard.orchestrator.planning.packs import Pack, pack_up, rank_memory_bytes
from hadamard.orchestrator.planning.rank_layout import ALONE, RankLayout, fewest_nodes, layout_of, nodes_for
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.study.file import StudyError
from tests.support.studies import TINY, read, write_study

GIB = 2**30


def machine(cpus: int, memory_gib: float = 24, gpus: int = 0, nodes: int = 1) -> Allocation:
    return Allocation(cpus, round(memory_gib * GIB), gpus, "this machine", nodes)


def settings(
    ranks: int | str = "auto", shards: int | str = "auto", simulator: str = "auto", qubits: int = 10, batch: int = 16
) -> TrialSettings:
    return TrialSettings.model_validate(
        {
            "head": {"kind": "quantum", "qubits": qubits},
            "training": {"batch": batch},
            "simulator": simulator,
            "mpi": {"ranks": ranks, "shards": shards},
        }
    )


def halves(total_gib: float, process_gib: float = 0.5):  # type: ignore[no-untyped-def]
    """Return the bytes of a rank whose states take this many GiB in all, in addition to a process."""
    return lambda layout: round((process_gib + total_gib / layout.ranks) * GIB)


def no_gpus(_: RankLayout) -> int:
    return 0


@pytest.mark.parametrize(
    ("total_gib", "allocation", "expected"),
    [
        (1, machine(4, 8), 1),
        (7, machine(4, 8), 1),  # all of the node for one process
        (9, machine(4, 8), 1),  # nothing fits: for others to refuse
        (9, machine(4, 8, nodes=2), 2),
        (14, machine(4, 8, nodes=2), 2),
        (16, machine(4, 8, nodes=4), 4),
        (31, machine(1, 8, nodes=8), 8),  # 4 ranks of 8 GiB and a process each do not fit a node each
    ],
)
def test_auto_takes_as_few_ranks_as_memory_allows(total_gib: float, allocation: Allocation, expected: int) -> None:
    layout = layout_of(settings(), allocation, halves(total_gib), no_gpus)
    assert layout == RankLayout(expected, expected)
    if layout != ALONE:
        assert nodes_for(layout, allocation, halves(total_gib)(layout)) <= allocation.nodes
        fewer = RankLayout(layout.ranks // 2, layout.shards // 2)
        assert nodes_for(fewer, allocation, halves(total_gib)(fewer)) > allocation.nodes


def test_named_ranks_and_shards_are_taken_as_they_are() -> None:
    roomy = machine(16, 1000)
    for ranks, shards, expected in ((8, 2, RankLayout(8, 2)), (1, 1, ALONE), ("auto", 4, RankLayout(4, 4)), (8, "auto", RankLayout(8, 1))):
        assert layout_of(settings(ranks, shards), roomy, halves(1), no_gpus) == expected
    assert RankLayout(8, 2).groups == 4
    assert [RankLayout(8, 2).rows(rows) for rows in (1, 4, 5)] == [1, 1, 2]


def test_shards_of_named_ranks_are_as_few_as_memory_allows() -> None:
    def states_alone(layout: RankLayout) -> int:
        return 16 * GIB // layout.shards

    assert layout_of(settings(4), machine(4, 33), states_alone, no_gpus) == RankLayout(4, 2)
    assert layout_of(settings(4), machine(4, 31), states_alone, no_gpus) == RankLayout(4, 4)
    assert layout_of(settings(4), machine(4, 1), states_alone, no_gpus) == RankLayout(4, 4), "and is refused with that"
    assert layout_of(settings(8, batch=2), machine(8, 1000), states_alone, no_gpus) == RankLayout(8, 4), "no more groups than sentences"


def test_pennylane_shares_every_state_among_all_ranks() -> None:
    assert layout_of(settings(4, simulator="lightning.kokkos"), machine(4), halves(1), no_gpus) == RankLayout(4, 4)
    assert layout_of(settings(2, simulator="lightning.gpu"), machine(4, gpus=2), halves(1), lambda _: 1) == RankLayout(2, 2)


def test_simulators_of_one_process_never_get_ranks() -> None:
    for simulator in ("compiled", "torch", "lightning.qubit"):
        assert layout_of(settings(simulator=simulator), machine(4, 8, nodes=9), halves(60), no_gpus) == ALONE


def test_classical_heads_ignore_ranks(tmp_path: Path) -> None:
    plan = read(tmp_path, TINY.replace("qubits: 3", "qubits: 4").replace("[2, 3]", "[4, 5]"), ["mpi.ranks=2", "baselines=[logistic, mlp]"])
    packs = pack_up(plan.trials, machine(2))
    assert {trial.arm.startswith("r"): pack.ranks for pack in packs for trial in pack.trials} == {True: 2, False: 1}


RANKS = TINY.replace("qubits: 3", "qubits: 5").replace("  head.qubits: [2, 3]", "  mpi.ranks: [1, 4]")


def ranked(tmp_path: Path, *overrides: str, content: str = RANKS) -> Plan:
    return read(tmp_path, content, overrides)


def test_packs_have_one_number_of_ranks_each(tmp_path: Path) -> None:
    plan = ranked(tmp_path, "mpi.shards=1", "training.epochs=1000000", "design.splits=8")
    roomy = machine(8, 1000)
    packs = pack_up(plan.trials, roomy)
    check_feasible(packs, roomy)
    assert {pack.ranks for pack in packs} == {1, 4}
    assert {pack.shards for pack in packs} == {1}
    for pack in packs:
        assert {trial.settings.mpi.ranks for trial in pack.trials if trial.arm != "logistic"} <= {pack.ranks}
    assert sorted(trial.key for pack in packs for trial in pack.trials) == sorted(trial.key for trial in plan.trials)
    of_four = [pack.seconds or 0 for pack in packs if pack.ranks == 4]
    seconds = packs_seconds(packs, roomy)
    assert seconds is not None
    assert seconds >= 4 * sum(of_four) / 8, "each takes the cores of its ranks"


def test_shards_and_groups_take_less_memory(tmp_path: Path) -> None:
    plan = read(tmp_path, RANKS.replace("qubits: 5", "qubits: 18"), ["training.batch=32", "head.reduction=none"])
    trial = plan.trials[0]
    bytes_of = {shards: rank_memory_bytes(trial, RankLayout(shards, shards)) for shards in (2, 4)}
    state = 2**18 * 4 * 32  # float32, batch 32
    assert bytes_of[2] - bytes_of[4] == pytest.approx(3.25 * state / 4, rel=0.01)
    assert rank_memory_bytes(trial, RankLayout(4, 2)) == pytest.approx(bytes_of[4], rel=0.001), "two groups have half of the rows each"


def check(packs: Sequence[Pack], allocation: Allocation) -> None:
    """Check packs as on a machine that has MPI."""
    check_feasible(packs, allocation, missing_for_mpi=lambda: None)


def test_more_ranks_than_cores_or_gpus_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ranked(tmp_path)
    small = machine(2)
    with pytest.raises(StudyError, match=r"factors.mpi.ranks: r0\d: 4 ranks need a core each, there are 2: 2 cores, "):
        check(pack_up(plan.trials, small), small)
    monkeypatch.setattr("hadamard.model.simulators.hardware.gpu_in_sight", lambda: True)
    one_gpu = machine(8, gpus=1)
    with pytest.raises(StudyError, match=r"4 ranks need a GPU each, there are 1: 8 cores, 1 GPU"):
        check(pack_up(ranked(tmp_path, "simulator=lightning.gpu").trials, one_gpu), one_gpu)


@pytest.mark.parametrize(("simulator", "all_gpus"), [("lightning.gpu", True), ("lightning.kokkos", False), ("sharded", False)])
def test_ranks_of_a_device_that_picks_its_gpu_are_to_see_all_of_their_node(tmp_path: Path, simulator: str, all_gpus: bool) -> None:
    packs = pack_up(ranked(tmp_path, f"simulator={simulator}", "baselines=[]").trials, machine(8, gpus=4))
    assert {pack.all_gpus for pack in packs} == {all_gpus}


def test_ranks_that_would_wait_for_ever_for_one_node_are_refused(tmp_path: Path) -> None:
    two_nodes = machine(2, nodes=2)
    check(pack_up(ranked(tmp_path).trials, two_nodes), two_nodes)
    apart = dataclasses.replace(two_nodes, apart=True)
    with pytest.raises(
        StudyError, match=r"factors.mpi.ranks: r0\d: 4 ranks have to be on one node here: .*; there are 2 nodes, each with 2 c"
    ):
        check(pack_up(ranked(tmp_path).trials, apart), apart)
    fitting = dataclasses.replace(machine(4, nodes=2), apart=True)
    check(pack_up(ranked(tmp_path).trials, fitting), fitting)


def test_auto_takes_no_ranks_on_nodes_that_they_do_not_reach() -> None:
    nodes = machine(4, 8, nodes=4)
    assert layout_of(settings(), nodes, halves(24), no_gpus).ranks > 1
    assert layout_of(settings(), dataclasses.replace(nodes, apart=True), halves(24), no_gpus) == ALONE


LARGE = RANKS.replace("qubits: 5", "qubits: 24").replace("  mpi.ranks: [1, 4]", "  head.connectivity: [1, 2]")


def test_a_row_that_cannot_fit_says_how_many_ranks_of_what_memory_would_do(tmp_path: Path) -> None:
    plan, small = ranked(tmp_path, "head.reduction=none", "baselines=[]", content=LARGE), machine(4, 2)
    with pytest.raises(StudyError, match=r"r00 needs about .* GiB of memory, this machine has 2.0.*; (\d+) MPI ranks with") as caught:
        check(pack_up(plan.trials, small), small)
    fewest = fewest_nodes(plan.trials[0].settings, small, lambda layout: rank_memory_bytes(plan.trials[0], layout))
    assert fewest is not None
    layout, nodes = fewest
    assert (
        f"; {layout.ranks} MPI ranks with {rank_memory_bytes(plan.trials[0], layout) / GIB:.1f} GiB each would fit {nodes} such nodes"
        in str(caught.value)
    )
    enough = machine(4, 2, nodes=nodes)
    packs = pack_up(plan.trials, enough)
    check(packs, enough)
    assert {pack.ranks > 1 for pack in packs} == {True}, "what it said would do, does"
    fewer = machine(4, 2, nodes=nodes - 1)
    with pytest.raises(StudyError, match="needs about"):
        check(pack_up(plan.trials, fewer), fewer)


def test_a_plan_says_what_ranks_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hadamard.orchestrator.commands.plan.detect", lambda: machine(8))
    path = write_study(tmp_path, RANKS.replace("qubits: 5", "qubits: 9"))
    overrides = ["factors.mpi.ranks=[4, 8]", "factors.training.lr=[0.02, 0.1]", "mpi.shards=4", "head.reduction=none"]
    plan = json.loads(show_plan(path, overrides, 0.02, as_json=True))
    four, eight = sorted(plan["shared"], key=lambda one: one["ranks"])
    assert [(one["ranks"], one["groups"], one["shards"]) for one in (four, eight)] == [(4, 1, 4), (8, 2, 4)]
    assert four["arms"] == ["r00", "r02"]
    stages = [
        plan_stages(circuit, 4)
        for circuit in encoder_and_second_module(read(tmp_path, path.read_text(), overrides).trials[0].settings.head)
    ]
    assert four["stages"] == sum(len(one.stages) for one in stages)
    assert four["moved_bytes_per_step"] == eight["moved_bytes_per_step"] == 3 * 8 * 4 * 2**9 * sum(one.moved for one in stages), "batch 8"
    assert eight["step_s"] < four["step_s"]
    assert {(pack["ranks"], pack["shards"]) for pack in plan["packs"]} == {(1, 1), (4, 4), (8, 4)}
    assert "sharded, chosen by auto" in plan["simulator"]
    text = show_plan(path, overrides, 0.02, as_json=False)
    assert f"ranks     r00 and r02: 4 ranks, 4 to a state, with 700 MiB each; {four['stages']} stages, " in text
    assert "on 8 cores, one core for each process\n" in text
    monkeypatch.setattr("hadamard.model.simulators.hardware.gpu_in_sight", lambda: True)
    monkeypatch.setattr("hadamard.orchestrator.commands.plan.detect", lambda: machine(8, gpus=8))
    assert "on 8 GPUs, one GPU for each process\n" in show_plan(path, overrides, 0.02, as_json=False)


def test_missing_mpi_is_looked_for_once_and_where_ranks_need_it(tmp_path: Path) -> None:
    looks = []

    def missing() -> str:
        looks.append(1)
        return "no mpiexec"

    packs = pack_up(ranked(tmp_path).trials, machine(8))
    with pytest.raises(StudyError, match=r"factors.mpi.ranks: r0\d: 4 ranks need MPI: no mpiexec"):
        check_feasible(packs, machine(8), missing_for_mpi=missing)
    assert len(looks) == 1, "two arms miss it, and each look starts a Python"
    alone = pack_up(ranked(tmp_path, "factors.mpi.ranks=[1, auto]").trials, machine(8))
    check_feasible(alone, machine(8), missing_for_mpi=missing)
    assert len(looks) == 1, "where no ranks are needed, none are missed"


@pytest.mark.parametrize("what", ["mpi4py", "launcher"])
def test_what_is_missing_for_mpi_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    if what == "mpi4py":
        monkeypatch.setattr(mpi, "ASK_LIBRARY", "import mpi4py_that_is_not_installed")
    else:
        monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert "pip install 'hadamard[mpi]'" in (missing_for_mpi(mpi.library) or "")


def test_bad_ranks_are_refused_with_file_and_line(tmp_path: Path) -> None:
    for override, words in (
        ("mpi.ranks=3", r"--set mpi.ranks=3: mpi.ranks: .*power of two.*not 3"),
        ("simulator=compiled", r"study.yaml:\d+: factors: rows r01, r03: mpi.ranks = 4, but compiled runs in one process"),
        ("mpi.shards=8", r"rows r00, r02: mpi.ranks = 1 is no multiple of mpi.shards = 8"),
    ):
        content = RANKS.replace("  mpi.ranks: [1, 4]", "  head.connectivity: [1, 2]") if override == "mpi.ranks=3" else RANKS
        with pytest.raises(StudyError, match=words):
            read(tmp_path, content, [override])
    fixed = TINY + "simulator: torch\nmpi: {shards: 2}\n"
    with pytest.raises(StudyError, match=r"study.yaml:12: mpi: rows r00, r01, r02, r03: mpi.shards = 2, but torch runs in one process"):
        read(tmp_path, fixed)
