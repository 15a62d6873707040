"""Stages of circuits on several ranks: nothing lost, no global wire mixed, what does not commute in order, and little moved."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadamard.model.circuits.circuit import Circuit, encoder_circuit, second_module_circuit
from hadamard.model.simulators.sharded.stages import Item, StagePlan, mixes, plan_stages, wires_of
from tests.support.circuits import ALL_GATES, ALL_REAL, random_circuits

PAPER = {"encoder": encoder_circuit(20, 3, 2), "second": second_module_circuit(20, [0, 0], 2, 2, 1)}


def commute(one: Item, other: Item) -> bool:
    """Whether the order of two items does not matter: they share no wire along which either mixes."""
    return not set(mixes(one)) & set(wires_of(other)) and not set(mixes(other)) & set(wires_of(one))


def check(plan: StagePlan, whole: StagePlan, qubits: int) -> None:
    """Assert that a plan is one of the circuit whose items, in order, are the one stage of `whole`."""
    wires = plan.shards.bit_length() - 1
    items = list(whole.stages[0].items)
    done = [item for stage in plan.stages for item in stage.items]
    places = {item: [place for place, one in enumerate(items) if one == item] for item in items}
    where = [places[item].pop(0) for item in done]  # equal items keep their order, since they do not commute or do not matter
    assert sorted(where) == list(range(len(items)))
    for (a, first), (b, second) in itertools.combinations(zip(where, done, strict=True), 2):
        assert a < b or commute(first, second), (first, second)
    for stage in plan.stages:
        assert sorted(stage.order) == list(range(qubits))
        for item in stage.items:
            assert not set(mixes(item)) & set(stage.order[:wires]), item
    for before, after in itertools.pairwise(plan.stages):
        assert before.exchange is not None
        order = list(before.order)
        for one, other in before.exchange.places:
            assert one < wires <= other
            order[one], order[other] = order[other], order[one]
        assert tuple(order) == after.order
    assert plan.stages[-1].exchange is None


@given(st.sampled_from([ALL_REAL, ALL_GATES]).flatmap(lambda names: random_circuits(names, qubits=(3, 6))), st.integers(0, 3))
def test_any_circuit_keeps_its_items_and_their_order(circuit: Circuit, wires: int) -> None:
    check(plan_stages(circuit, 2 ** min(wires, circuit.qubits - 2)), plan_stages(circuit, 1), circuit.qubits)


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("shards", [2, 4, 8, 16])
def test_the_papers_circuits_need_few_exchanges(name: str, shards: int) -> None:
    plan = plan_stages(PAPER[name], shards)
    check(plan, plan_stages(PAPER[name], 1), 20)
    rings = {"encoder": 3, "second": 6}[name]  # of distance 1: each is a chain through all wires, so each needs an exchange
    assert rings <= plan.exchanges <= 1.5 * rings
    assert plan.moved <= plan.exchanges * (1 - 1 / shards)


def test_too_many_shards_are_refused() -> None:
    with pytest.raises(ValueError, match="8 shards of a state of 4 qubits"):
        plan_stages(encoder_circuit(4, 1, 1), 8)
