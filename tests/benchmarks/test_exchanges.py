"""What ways of sharing a state out move: what the documents claim, small cases by hand, and the bound against the best of all plans."""

from __future__ import annotations

import heapq
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.exchanges import PAPER_HEAD, lazy_remap, least, moved, swap_and_back, table
from hadamard.model.circuits.circuit import Circuit, Gate, encoder_circuit, ry
from hadamard.model.heads.quantum.settings import encoder_and_second_module
from hadamard.model.simulators.sharded.stages import Item, mixes, plan_stages, wires_of
from tests.conftest import ROOT
from tests.support.circuits import ALL_GATES, ALL_REAL, random_circuits


def test_ours_moves_a_quarter_of_one_way_and_half_of_the_other() -> None:
    found = moved(encoder_and_second_module(PAPER_HEAD.model_copy(update={"qubits": 20})), 4)
    assert found.ours <= found.swap_and_back / 4
    assert found.ours <= found.lazy_remap / 2
    assert found.ours >= found.least


@pytest.mark.parametrize("shards", [2, 4, 8, 16])
def test_the_bound_is_an_exchange_of_all_global_wires_for_each_ring_of_distance_1(shards: int) -> None:
    encoder, second = encoder_and_second_module(PAPER_HEAD.model_copy(update={"qubits": 20}))
    assert least(encoder, shards) == pytest.approx(3 * (1 - 1 / shards))
    assert least(second, shards) == pytest.approx(6 * (1 - 1 / shards)), "also of what its light cone leaves"


def test_small_circuits_by_hand() -> None:
    """Qubits 0 and 1 are global at first for PennyLane; ours begins with what suits it."""
    column = Circuit(4, tuple(ry(qubit, "weights", qubit) for qubit in range(4)), 4)
    assert swap_and_back(column, 4) == 2.0
    assert lazy_remap(column, 4) == 3 * 0.5, "0 comes in for 2, then 1 for 0, then 2 for 1; 3 never left"
    assert plan_stages(column, 4).moved == 0.75
    both_outside = Circuit(4, (Gate("CNOT", (0, 1)),), 4)
    assert lazy_remap(both_outside, 4) == 0.0
    assert lazy_remap(both_outside, 2) == 0.0, "1 is local"
    assert lazy_remap(Circuit(4, (Gate("CNOT", (2, 0)),), 4), 2) == 0.5
    diagonal = Circuit(4, (Gate("CZ", (0, 1)), Gate("RZ", (0,), ry(0, "weights", 0).angle)), 4)
    assert moved([diagonal], 4).swap_and_back == moved([diagonal], 4).least == 0.0


def test_the_bound_counts_what_cannot_stay_out() -> None:
    ring = encoder_circuit(6, 1, 1)
    assert least(ring, 4) == 0.75
    assert least(Circuit(6, ring.gates[:8], 6), 4) == 0.0, "four CNOTs in a row mix four of six wires: two may stay out"
    assert least(Circuit(6, ring.gates[:10], 6), 4) == 0.5


def best(circuit: Circuit, shards: int) -> float:
    """Return what the best of all plans moves, by Dijkstra's algorithm over which wires are global and which steps are done."""
    items, wires = plan_stages(circuit, 1).stages[0].items, shards.bit_length() - 1
    held = [frozenset(some) for some in itertools.combinations(range(circuit.qubits), wires)]
    queue = [(0.0, 0, one, advanced(items, frozenset(), one)) for one in held]
    for number in range(len(queue)):
        queue[number] = (0.0, number, *queue[number][2:])
    heapq.heapify(queue)
    seen: set[tuple[frozenset[int], frozenset[int]]] = set()
    ticket = itertools.count(len(queue))
    while True:
        cost, _, one, done = heapq.heappop(queue)
        if len(done) == len(items):
            return cost
        if (one, done) in seen:
            continue
        seen.add((one, done))
        for other in held:
            if other != one:
                heapq.heappush(queue, (cost + 1 - 2.0 ** -len(one - other), next(ticket), other, advanced(items, done, other)))


def advanced(items: tuple[Item, ...], done: frozenset[int], held: frozenset[int]) -> frozenset[int]:
    """Return the steps done when all is done that can be while these wires are global."""
    now = set(done)
    for number, item in enumerate(items):
        waiting = any(
            before not in now and (set(mixes(item)) & set(wires_of(items[before])) or set(mixes(items[before])) & set(wires_of(item)))
            for before in range(number)
        )
        if not waiting and not held & set(mixes(item)):
            now.add(number)
    return frozenset(now)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.sampled_from([ALL_REAL, ALL_GATES]).flatmap(lambda names: random_circuits(names, qubits=(3, 5))), st.integers(1, 2))
def test_the_bound_is_below_the_best_plan_and_ours_is_not(circuit: Circuit, wires: int) -> None:
    shards = 2 ** min(wires, circuit.qubits - 2)
    assert least(circuit, shards) <= best(circuit, shards) + 1e-12
    assert best(circuit, shards) <= plan_stages(circuit, shards).moved + 1e-12


@pytest.mark.parametrize("shards", [2, 4])
def test_the_papers_circuits_are_near_the_best(shards: int) -> None:
    encoder = encoder_circuit(6, 2, 2)
    assert least(encoder, shards) <= best(encoder, shards) <= plan_stages(encoder, shards).moved <= 1.5 * best(encoder, shards)


@pytest.mark.slow
def test_the_documented_table_is_what_is_computed() -> None:
    assert table() in (ROOT / "docs" / "performance.md").read_text()
