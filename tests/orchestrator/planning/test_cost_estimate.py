"""Cost estimates: the time of uneven packs on few cores and all around them, node-hours, joules that are known or not, trials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hadamard.cluster.allocation import Allocation
from hadamard.orchestrator.planning.cost_estimate import embedding_seconds, estimate_run, pack_joules, packs_seconds
from hadamard.orchestrator.planning.machine_rates import DEFAULTS, PACK_START
from hadamard.orchestrator.planning.packs import Pack, pack_up
from hadamard.orchestrator.planning.rank_layout import RankLayout
from hadamard.orchestrator.planning.words import estimate_in_words
from tests.support.studies import TINY, read

GIB = 2**30


def machine(cpus: int = 2, memory_gib: float = 24, gpus: int = 0, nodes: int = 1) -> Allocation:
    return Allocation(cpus, int(memory_gib * GIB), gpus, "this machine", nodes)


def pack(seconds: float | None, ranks: int = 1, gpus: int = 0, memory_gib: float = 1) -> Pack:
    return Pack(f"p{seconds}", (), int(memory_gib * GIB), gpus, seconds, RankLayout(ranks, ranks))


@pytest.mark.parametrize(
    ("packs", "allocation", "seconds"),
    [
        ([], machine(), 0),
        ([pack(3), pack(4), pack(5)], machine(2), 8),  # 3 and then 5, while 4 runs
        ([pack(5), pack(4), pack(3)], machine(2), 7),
        ([pack(5), pack(4), pack(3)], machine(3), 5),
        ([pack(5), pack(4), pack(3)], machine(1), 12),
        ([pack(9), *[pack(1)] * 9], machine(2), 9),  # the long one first hides the others
        ([*[pack(1)] * 9, pack(9)], machine(2), 13),
        ([pack(1), pack(4, ranks=2), pack(1)], machine(2), 5),  # those of many ranks begin first
        ([pack(2, ranks=2), pack(3, ranks=2)], machine(2, nodes=2), 3),
        ([pack(2, gpus=1), pack(2, gpus=1), pack(3)], machine(4, gpus=1), 4),  # the second waits for the GPU, the third does not
        ([pack(2, memory_gib=20), pack(2, memory_gib=20), pack(3)], machine(4), 4),  # likewise for memory
        ([pack(2, memory_gib=99)], machine(), 2),  # refused elsewhere; here it only must not wait for ever
    ],
)
def test_packs_begin_in_their_order_as_soon_as_there_is_room(packs: list[Pack], allocation: Allocation, seconds: float) -> None:
    assert packs_seconds(packs, allocation) == seconds


def test_one_pack_of_unknown_length_makes_all_unknown() -> None:
    unknown = estimate_run([pack(3), pack(None)], machine(), replace(DEFAULTS, core_w=10.0))
    assert (unknown.packs_s, unknown.wall_s, unknown.node_hours, unknown.energy_j) == (None, None, None, None)
    assert estimate_in_words(unknown, machine(), DEFAULTS)["time"].startswith("not known")


def test_the_time_holds_all_from_the_command_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_CACHE", str(tmp_path / "cache"))
    trials = read(tmp_path).trials
    rates = replace(DEFAULTS, factors={"start": 2.0, "embeddings": 3.0, "end": 0.5, PACK_START: 4.0})
    plain, corrected = (estimate_run(pack_up(trials, machine(), one), machine(), one) for one in (DEFAULTS, rates))
    assert plain.wall_s == plain.start_s + plain.embeddings_s + (plain.packs_s or 0) + plain.end_s
    assert plain.start_s == DEFAULTS.run_start_s
    assert plain.end_s == pytest.approx(DEFAULTS.run_end_s + len(trials) * DEFAULTS.trial_end_s)
    assert corrected.start_s == 2 * plain.start_s
    assert corrected.embeddings_s == pytest.approx(3 * plain.embeddings_s)
    assert corrected.end_s == pytest.approx(plain.end_s / 2)
    assert (corrected.packs_s or 0) - (plain.packs_s or 0) == pytest.approx(3 * DEFAULTS.pack_start_s)
    assert plain.trials == len(trials)


def test_embeddings_take_longer_where_sentences_do_and_nothing_once_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_CACHE", str(tmp_path / "cache"))
    few, many = (read(tmp_path, overrides=[f"data.sentences={number}"]).trials for number in (300, 3000))
    seconds = [embedding_seconds(trials, 2, DEFAULTS) - DEFAULTS.embedding_start_s for trials in (few, many)]
    assert seconds[1] == pytest.approx(10 * seconds[0], rel=0.1)
    assert embedding_seconds(few, 1, DEFAULTS) - DEFAULTS.embedding_start_s == pytest.approx(2 * seconds[0])
    from hadamard.model.representation.embeddings import cached_file

    file = cached_file(few[0].data_hash, few[0].sentence_encoder_hash)
    file.parent.mkdir(parents=True)
    file.touch()
    assert embedding_seconds(few, 2, DEFAULTS) == 0


def test_node_hours_are_those_of_all_nodes_all_the_while() -> None:
    estimate = estimate_run([pack(3600)] * 2, machine(1, nodes=4), DEFAULTS)
    assert estimate.wall_s is not None
    assert estimate.node_hours == pytest.approx(4 * estimate.wall_s / 3600)


def test_nothing_to_do_takes_nothing() -> None:
    nothing = estimate_run([], machine(), DEFAULTS)
    assert (nothing.wall_s, nothing.energy_j, nothing.trials) == (0, 0, 0)


def test_joules_are_those_of_cores_and_gpus_and_unknown_without_their_watts() -> None:
    of_cores, of_both = replace(DEFAULTS, core_w=10.0), replace(DEFAULTS, core_w=10.0, gpu_w=300.0)
    assert pack_joules(pack(5), DEFAULTS) is None
    assert pack_joules(pack(5), of_cores) == 50
    assert pack_joules(pack(5, ranks=4), of_cores) == 200
    assert pack_joules(pack(5, gpus=1), of_cores) is None
    assert pack_joules(pack(5, ranks=2, gpus=1), of_both) == 5 * 2 * 310
    assert estimate_run([pack(5), pack(6)], machine(), of_cores).energy_j == 110
    assert estimate_run([pack(5), pack(6, gpus=1)], machine(gpus=1), of_cores).energy_j is None


def test_joules_that_are_not_known_are_said_to_be_so_with_the_reason() -> None:
    lines = estimate_in_words(estimate_run([pack(5)], machine(), DEFAULTS), machine(), DEFAULTS)
    assert lines["energy"].startswith("not known: ")
    assert len(lines["energy"]) > 40
    known = replace(DEFAULTS, core_w=10.0)
    assert "50 J" in estimate_in_words(estimate_run([pack(5)], machine(), known), machine(), known)["energy"]


def test_other_rates_change_no_trial_and_lose_none_though_they_may_pack_otherwise(tmp_path: Path) -> None:
    trials = read(tmp_path, TINY, ["design.splits=6", "training.epochs=3000"]).trials
    slow = replace(DEFAULTS, factors={"compiled": 5.0, "fused": 5.0, PACK_START: 0.2})
    before, after = pack_up(trials, machine()), pack_up(trials, machine(), slow)
    assert {pack.id for pack in before} != {pack.id for pack in after}
    for packs in (before, after):
        assert sorted(trial.key for pack in packs for trial in pack.trials) == sorted(trial.key for trial in trials)
        for one in packs:
            assert one.seconds == pytest.approx(sum(one.parts.values()))
