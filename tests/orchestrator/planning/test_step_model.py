"""The model of a training step that ranks share: against the stages that are planned, and against real ranks."""

from __future__ import annotations

import math

import pytest

from hadamard.model.heads.quantum.settings import Noise, QuantumHead, encoder_and_second_module
from hadamard.model.simulators.sharded.stages import plan_stages
from hadamard.orchestrator.planning.rank_layout import ALONE, RankLayout
from hadamard.orchestrator.planning.step_model import Kernels, Link, step_of, step_seconds
from tests.support.on_ranks import on_ranks

HEAD = QuantumHead(qubits=12, encoders=1, encoder_layers=3, connectivity=2, reuploads=2, layers=2)


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


@pytest.mark.slow
@pytest.mark.parametrize(("count", "shards"), [pytest.param(1, 1, marks=pytest.mark.alone), (2, 2), (4, 2)])
def test_real_ranks_send_the_bytes_and_take_about_the_time(count: int, shards: int) -> None:
    """Times of several ranks are not asserted: they would share the cores."""
    options = {"qubits": "12,16", "sentences": 2, "shards": shards, "repeats": 8 if count > 1 else 80}
    said = on_ranks(count, "benchmarks.sharded_step", *(f"--{name}={value}" for name, value in options.items()))
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in said[2:]]
    assert [line[:3] for line in lines] == [[str(count), str(shards), "12"], [str(count), str(shards), "16"]]
    assert {line[-1] for line in lines} == ({"1.000"} if shards > 1 else {"nothing"})
    if count == 1:  # the bounds below 1 are wider: others may use the core, which makes the longer steps slower above all
        few, many = (float(line[-2]) for line in lines)
        assert 1 / 4 < few < 3, said
        assert 1 / 4 < many < 3, said
        assert 2 / 5 < many / few < 2, "seconds that gates take come to as much as seconds that amplitudes take"
