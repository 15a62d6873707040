"""Prices of steps that ranks share: the model against the planner, against real ranks, and what `hadamard plan --scale` shows."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from PIL import Image

from hadamard.model.errors import UserError
from hadamard.model.heads.quantum.settings import Noise, QuantumHead, encoder_and_second_module
from hadamard.model.simulators.sharded.stages import plan_stages
from hadamard.orchestrator.commands.plan_scale import PAPER, QUBITS, assumptions, machine, show_scale
from hadamard.orchestrator.planning.cost_model import SHARED_KERNELS
from hadamard.orchestrator.planning.rank_layout import ALONE, RankLayout
from hadamard.orchestrator.planning.scale import price, prices
from hadamard.orchestrator.planning.step_model import Kernels, Link, step_of, step_seconds
from tests.support.on_ranks import on_ranks
from tests.support.studies import write_study

GIB = 2**30
HEAD = PAPER.model_copy(update={"qubits": 12})


def test_a_step_moves_what_the_stages_say_three_times_over() -> None:
    moved = sum(plan_stages(circuit, 4).moved for circuit in encoder_and_second_module(HEAD))
    step = step_of(HEAD, 6, RankLayout(8, 4), 4)
    assert step.moved_bytes == pytest.approx(3 * 6 * 4 * 2**12 * moved)
    assert step.rank_bytes == pytest.approx(step.moved_bytes / 8), "two groups with 3 sentences each"
    assert step_of(HEAD, 5, RankLayout(8, 4), 4).rank_bytes == step.rank_bytes, "one has 3, the other waits for it"
    assert step.stages == sum(len(plan_stages(circuit, 4).stages) for circuit in encoder_and_second_module(HEAD))
    assert step_of(HEAD, 6, RankLayout(8, 4), 8).rank_bytes == 2 * step.rank_bytes
    gates = sum(plan_stages(circuit, 1).items for circuit in encoder_and_second_module(HEAD))
    alone = step_of(HEAD, 6, ALONE, 4)
    assert (alone.gates, alone.gate_amplitudes) == (gates, gates * 6 * 2**12), "of both circuits, on all amplitudes of each sentence"
    assert (alone.moved_bytes, alone.messages, alone.stages) == (0, 0, 2)
    assert alone.gate_amplitudes == pytest.approx(8 * step.gate_amplitudes)


def test_a_rank_holds_three_and_a_quarter_shards_at_most() -> None:
    assert step_of(HEAD, 1, RankLayout(4, 4), 4).state_bytes == 3.25 * 4 * 2**12 / 4
    noisy = HEAD.model_copy(update={"noise": Noise(one_qubit_error=0.1, trajectories=8)})
    assert step_of(noisy, 1, RankLayout(4, 4), 4).state_bytes == (1 + 2.25 * 8) * 4 * 2**12 / 4, "each trajectory is a row"
    two = HEAD.model_copy(update={"encoders": 2})
    assert step_of(two, 1, ALONE, 4).state_bytes == 3.25 * 2 * 4 * 2**12


def test_seconds_are_those_of_gates_amplitudes_bytes_and_messages() -> None:
    step = step_of(HEAD, 1, RankLayout(4, 4), 4)
    assert step_seconds(step, Kernels(1, 0, 0, 0), Link(math.inf, 0)) == (step.gates, 0)
    assert step_seconds(step, Kernels(0, 1, 7, step.shard_bytes), Link(math.inf, 2)) == (step.gate_amplitudes, 2 * step.messages)
    assert step_seconds(step, Kernels(0, 1, 7, step.shard_bytes - 1), Link(1, 0)) == (7 * step.gate_amplitudes, step.rank_bytes)
    places = [
        len(stage.exchange.places)
        for circuit in encoder_and_second_module(HEAD)
        for stage in plan_stages(circuit, 4).stages
        if stage.exchange
    ]
    assert step.messages == 2 * sum(2**count - 1 for count in places), "to each of the others, there and back"


def test_as_few_ranks_as_hold_a_state_and_joules_of_all_of_them() -> None:
    ranks = machine(memory_gib=4, watts=10)
    found = prices(PAPER, range(26, 33), ranks, 4)
    assert [one.qubits for one in found] == list(range(26, 33))
    for one in found:
        assert one.memory_bytes <= 4 * GIB
        assert one.sharing.ranks == one.sharing.shards
        assert one.joules == pytest.approx(10 * one.sharing.ranks * one.seconds)
        assert one.memory_bytes == ranks.process_bytes + 3.25 * 4 * 2**one.qubits / one.sharing.shards
        assert one.sharing == ALONE or ranks.process_bytes + 3.25 * 4 * 2**one.qubits / (one.sharing.shards // 2) > 4 * GIB
    assert found[0].exchange_s == 0.0
    assert price(QuantumHead(qubits=30), machine(memory_gib=0.1), 4) is None


def test_the_picture_and_the_numbers(tmp_path: Path) -> None:
    shown = json.loads(show_scale(None, [], machine(memory_gib=64), tmp_path, as_json=True))
    assert [one["qubits"] for one in shown["prices"]] == list(QUBITS)
    ranks = [one["ranks"] for one in shown["prices"]]
    assert ranks == sorted(ranks)
    assert ranks[0] == 1
    assert ranks[-1] == 2**14
    assert shown["rank"]["memory_bytes"] == 64 * GIB
    with Image.open(shown["picture"]) as picture:
        assert picture.width > 1500
    text = show_scale(None, [], machine(memory_gib=64), tmp_path, as_json=False)
    assert "16,384" in text
    assert all(line in text for line in assumptions(PAPER, machine(memory_gib=64), 4)), "no price without what it rests on"


def test_the_head_of_a_study_is_priced_and_others_refused(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    shown = json.loads(show_scale(path, ["precision=float64", "head.layers=0"], machine(), tmp_path / "out", as_json=True))
    assert (shown["head"]["layers"], shown["amplitude_bytes"]) == (0, 8)
    classical = path.read_text().split("factors:")[0].replace(path.read_text().split("head: ")[1].split("\n")[0], "{kind: mlp}")
    path.write_text(classical + "factors: {training.lr: [0.1, 0.2]}\ndesign: {kind: full_factorial}\n")
    with pytest.raises(UserError, match="prices a quantum head, not mlp"):
        show_scale(path, [], machine(), tmp_path, as_json=True)
    with pytest.raises(UserError, match="before its first state; give --memory-gib more"):
        show_scale(None, [], machine(memory_gib=0.5), tmp_path, as_json=True)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "shards"), [pytest.param(1, 1, marks=pytest.mark.alone), (2, 2), (4, 2)])
def test_real_ranks_send_the_bytes_and_take_about_the_time(count: int, shards: int) -> None:
    """Times of several ranks are not asserted: they would share the cores."""
    options = {"qubits": "12,16", "sentences": 2, "shards": shards, "repeats": 8 if count > 1 else 80}
    said = on_ranks(count, "hadamard.orchestrator.commands.bench.shared_step", *(f"--{name}={value}" for name, value in options.items()))
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in said[2:]]
    assert [line[:3] for line in lines] == [[str(count), str(shards), "12"], [str(count), str(shards), "16"]]
    assert {line[-1] for line in lines} == ({"1.000"} if shards > 1 else {"nothing"})
    if count == 1:  # the bounds below 1 are wider: others may use the core, which makes the longer steps slower above all
        few, many = (float(line[-2]) for line in lines)
        assert 1 / 4 < few < 3, said
        assert 1 / 4 < many < 3, said
        assert 2 / 5 < many / few < 2, "seconds that gates take come to as much as seconds that amplitudes take"


def test_machines_are_compared_by_their_numbers() -> None:
    (one,) = prices(PAPER, [30], machine(network_gb_s=0.1), 4)
    (other,) = prices(PAPER, [30], machine(network_gb_s=1, kernel_ns=2), 4)
    assert one.step == other.step
    assert one.exchange_s - other.exchange_s == pytest.approx(one.step.rank_bytes * (1 / 0.1e9 - 1 / 1e9))
    assert other.compute_s - one.compute_s == pytest.approx(one.step.gate_amplitudes * (2e-9 - SHARED_KERNELS.far_s))
