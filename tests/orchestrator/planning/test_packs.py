"""Packs: every trial in one, balanced over cores and GPUs, within the memory; and the seconds they are expected to take."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hadamard.cluster.allocation import Allocation
from hadamard.model.trial import Trial
from hadamard.orchestrator.planning.cost_estimate import estimate_run, packs_seconds
from hadamard.orchestrator.planning.cost_model import PROCESS_BYTES, work_seconds
from hadamard.orchestrator.planning.feasibility import check_feasible
from hadamard.orchestrator.planning.machine_rates import DEFAULTS, PACK_START
from hadamard.orchestrator.planning.packs import pack_up
from hadamard.orchestrator.planning.rank_layout import ALONE
from hadamard.orchestrator.planning.words import simulators_in_words
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.study.file import StudyError
from tests.support.studies import TINY, read


def plan_of(tmp_path: Path, *overrides: str, content: str = TINY) -> Plan:
    return read(tmp_path, content, overrides)


def keys(plan: Plan) -> set[str]:
    return {trial.key for trial in plan.trials}


def machine(cpus: int, memory_gib: float = 24, gpus: int = 0, nodes: int = 1) -> Allocation:
    return Allocation(cpus, round(memory_gib * 2**30), gpus, "this machine", nodes)


LONG = "training.epochs=1000000"
"""Enough work for many packs."""


@pytest.mark.parametrize("overrides", [(), (LONG,), ("simulator=lightning.qubit",)], ids=["short", "long", "unknown"])
@pytest.mark.parametrize("cpus", [1, 2, 100])
def test_packs_hold_every_trial_once_and_are_always_the_same(tmp_path: Path, overrides: tuple[str, ...], cpus: int) -> None:
    plan = plan_of(tmp_path, *overrides)
    packs = pack_up(plan.trials, machine(cpus))
    assert sorted(trial.key for pack in packs for trial in pack.trials) == sorted(keys(plan))
    assert pack_up(plan.trials, machine(cpus)) == packs
    if cpus == 100:
        assert len(packs) == len(plan.trials)


def test_long_packs_hold_one_shape_and_rows_that_differ_in_numbers_alone(tmp_path: Path) -> None:
    packs = pack_up(plan_of(tmp_path, LONG).trials, machine(cpus=1))
    assert all(len({trial.shape for trial in pack.trials}) == 1 for pack in packs)
    assert any(len({trial.arm for trial in pack.trials}) == 2 for pack in packs)


def test_little_work_of_several_shapes_shares_a_process_but_every_core_has_one(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "baselines=[]")
    for cpus in (1, 2, 3):
        packs = pack_up(plan.trials, machine(cpus))
        assert len(packs) == cpus
        work_s = [pack.seconds - pack.parts[PACK_START] for pack in packs if pack.seconds is not None]
        assert max(work_s) < 2 * min(work_s)


@pytest.mark.parametrize(
    ("path", "levels", "together"),
    [
        ("training.lr", [0.01, 0.1], True),
        ("training.weight_decay", [0.0, 0.1], True),
        ("head.angle_scale", [1.0, 2.0], True),
        ("head.initial_angles", [0.1, 1.0], True),
        ("training.epochs", [2, 3], False),
        ("training.batch", [8, 16], False),
        ("head.encoders", [1, 2], False),
        ("head.noise.shots", [10, 100], False),
        ("data.train_per_class", [16, 17], False),
        ("data.difficulty", [0.1, 0.9], False),
        ("simulator", ["torch", "fused"], False),
        ("precision", ["float32", "float64"], False),
    ],
)
def test_what_trials_of_a_pack_may_differ_in(tmp_path: Path, path: str, levels: list[object], together: bool) -> None:
    content = TINY.replace("  head.qubits: [2, 3]\n  training.lr: [0.02, 0.1]", f"  {path}: {levels}").replace(
        "baselines: [logistic]\n", ""
    )
    plan = plan_of(tmp_path, content=content)
    assert len({trial.shape for trial in plan.trials}) == (1 if together else 2)


def test_a_pack_is_no_larger_than_its_part_of_the_memory(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "factors.head.qubits=[17, 19]", "design.splits=40", "head.reduction=none", "baselines=[]", LONG)
    roomy, tight = pack_up(plan.trials, machine(1, 1000)), pack_up(plan.trials, machine(1, 2))
    assert max(len(pack.trials) for pack in roomy) == len(plan.trials) // 4
    for pack in tight:
        alone = pack_up(pack.trials[:1], machine(1))[0].memory_bytes
        assert pack.memory_bytes == PROCESS_BYTES + len(pack.trials) * (alone - PROCESS_BYTES)
        assert pack.memory_bytes <= 2 * 2**30
    sizes = {pack.trials[0].shape: len(pack.trials) for pack in reversed(tight)}
    assert len(set(sizes.values())) == 2, "more of the smaller states fit"
    assert all(len(pack.trials) == 1 for pack in pack_up(plan.trials, machine(1, 0.1)))


def test_a_row_that_cannot_fit_is_refused_with_what_it_needs(tmp_path: Path) -> None:
    plan, small = plan_of(tmp_path, "factors.head.qubits=[3, 28]"), machine(2)
    with pytest.raises(StudyError, match=r"r0\d needs about \d+\.\d GiB of memory, this machine has 24\.0"):
        check_feasible(pack_up(plan.trials, small), small)


def test_the_time_is_not_known_for_simulators_without_a_measured_rate(tmp_path: Path) -> None:
    assert estimate_run(pack_up(plan_of(tmp_path, "simulator=lightning.qubit").trials, machine(2)), machine(2), DEFAULTS).wall_s is None
    assert estimate_run(pack_up(plan_of(tmp_path).trials, machine(2)), machine(2), DEFAULTS).wall_s is not None


def test_many_nodes_share_the_work_but_not_the_memory(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "baselines=[]", LONG)
    one, three = (pack_up(plan.trials, machine(2, nodes=nodes)) for nodes in (1, 3))
    assert three == pack_up(plan.trials, machine(6, 3 * 24))
    alone, shared = packs_seconds(one, machine(2)), packs_seconds(three, machine(2, nodes=3))
    assert alone is not None
    assert shared is not None
    assert len(one) == len(three) == 8
    assert shared == pytest.approx(alone / 2, rel=0.01), "eight packs alike: two rounds on six cores, four on two"
    large = plan_of(tmp_path, "factors.head.qubits=[3, 36]")
    with pytest.raises(StudyError, match=r"this machine has 24\.0"):
        check_feasible(pack_up(large.trials, machine(2, nodes=9)), machine(2, nodes=9))


GPU_ROWS = TINY.replace("training.lr: [0.02, 0.1]", "simulator: [compiled, lightning.gpu]")


def test_packs_ask_for_a_gpu_where_their_simulator_runs_on_one(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "design.splits=4", content=GPU_ROWS)
    packs = pack_up(plan.trials, machine(2, gpus=1, nodes=2))
    for pack in packs:
        assert {trial.settings.simulator == "lightning.gpu" and trial.arm != "logistic" for trial in pack.trials} == {bool(pack.gpus)}
    assert {pack.gpus for pack in packs} == {0, 1}
    assert sorted(trial.key for pack in packs for trial in pack.trials) == sorted(keys(plan))
    assert not any(pack.gpus for pack in pack_up(plan.trials, machine(2))), "there is none to ask for"


def test_gpu_packs_are_balanced_over_gpus_and_the_others_over_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hadamard.model.simulators.hardware.gpu_in_sight", lambda: True)
    content = TINY.replace("training.lr: [0.02, 0.1]", "simulator: [compiled, fused]").replace("baselines: [logistic]", "baselines: []")
    plan = plan_of(tmp_path, "design.splits=3", content=content)
    places = machine(3, gpus=1, nodes=2)
    packs = pack_up(plan.trials, places)
    assert [sum(pack.gpus == gpus for pack in packs) for gpus in (0, 1)] == [6, 2]
    slowest = max(pack.seconds or 0 for pack in packs)
    on_gpus = sum(pack.seconds or 0 for pack in packs if pack.gpus)
    seconds = packs_seconds(packs, places)
    assert seconds is not None
    assert seconds >= max(slowest, on_gpus / 2)


def test_together_takes_less_time_than_one_after_the_other(tmp_path: Path) -> None:
    trials = [trial for trial in plan_of(tmp_path, "design.splits=8").trials if trial.shape == plan_of(tmp_path).trials[0].shape]
    alone, together = work_seconds(trials[:1], 300, 384, ALONE, DEFAULTS), work_seconds(trials, 300, 384, ALONE, DEFAULTS)
    assert alone is not None
    assert together is not None
    assert len(trials) == 16
    assert alone < together < 16 * alone / 2


def test_the_choice_of_a_simulator_knows_the_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr("hadamard.model.simulators.hardware.gpu_in_sight", lambda: True)
    for precision, name in (("float32", "triton"), ("float64", "fused")):
        plan = plan_of(tmp_path, "factors.head.qubits=[13, 14]", "head.reduction=none", f"precision={precision}")
        assert name in simulators_in_words(plan.trials)


def test_an_estimate_counts_every_sentence_of_a_large_corpus(tmp_path: Path) -> None:
    few, many = (work_seconds(plan_of(tmp_path).trials[:2], sentences, 384, ALONE, DEFAULTS) for sentences in (300, 100_300))
    assert few is not None
    assert many is not None
    assert many - few > 2 * 100_000 * 1e-6


def test_trials_that_need_the_same_encoder_tuned_share_a_pack(tmp_path: Path) -> None:
    content = TINY.replace("  training.lr: [0.02, 0.1]\n", "  sentence_encoder.representation: [frozen, setfit]\n")
    plan = plan_of(tmp_path, "design.splits=3", content=content)

    def is_tuned(trial: Trial) -> bool:
        return trial.settings.sentence_encoder.representation == "setfit"

    packs = [pack for pack in pack_up(plan.trials, machine(2, 16)) if any(map(is_tuned, pack.trials))]
    assert sorted(sorted({trial.split for trial in pack.trials}) for pack in packs) == [[0], [1], [2]]
    for pack in packs:
        assert all(map(is_tuned, pack.trials))
        assert len(pack.trials) == 3  # two rows and the baseline
        assert pack.memory_bytes > 2 * PROCESS_BYTES


@pytest.mark.slow
def test_time_grows_with_the_number_of_trials(tmp_path: Path) -> None:
    """Ten times the trials, of ten times as many shapes, must not take much more than ten times as long."""
    trial = plan_of(tmp_path).trials[0]

    def seconds(count: int) -> float:
        trials = []
        for number in range(count):
            training = trial.settings.training.model_copy(update={"epochs": 1 + number // 50})
            settings = trial.settings.model_copy(update={"training": training})
            trials.append(trial.model_copy(update={"key": f"r{number}-s00-{number}", "settings": settings}))
        began = time.process_time()
        pack_up(trials, machine(64, 256, nodes=100))
        return time.process_time() - began

    few = min(seconds(500) for _ in range(2))
    assert seconds(5_000) < 25 * few
