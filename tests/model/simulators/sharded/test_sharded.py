"""States shared by real MPI ranks: the numbers of one process, the bytes of the plan, and the memory that was promised."""

from __future__ import annotations

import json

import pytest

from tests.support.on_ranks import on_ranks

pytestmark = [pytest.mark.slow]
VALUE, GRADIENT, DOUBLE = 1e-6, 1e-5, 1e-12


@pytest.mark.parametrize(("count", "shards", "largest"), [(1, 1, 16), (2, 2, 20), (4, 4, 16), (8, 8, 16), (4, 2, 14), (4, 1, 14)])
def test_ranks_give_the_numbers_of_one_process(count: int, shards: int, largest: int) -> None:
    """Random circuits of real and complex gates with 5 to 8 qubits, and the paper's up to `largest`."""
    worst = json.loads(on_ranks(count, "tests.support.ranks.agree", count, shards, largest)[-1])
    assert worst["values float32"] < VALUE
    assert worst["gradients float32"] < GRADIENT
    assert max(worst["values float64"], worst["gradients float64"]) < DOUBLE


def test_calls_are_forgotten_with_their_values_and_differentiated_once() -> None:
    found = json.loads(on_ranks(4, "tests.support.ranks.calls")[-1])
    assert found["kept"] == 0
    assert found["error"] < DOUBLE
    assert "the gradient of these expectations can be asked for once" in found["twice"]


@pytest.mark.parametrize(("count", "shards", "kind"), [(2, 2, "head"), (4, 2, "encoder"), (4, 2, "second")])
def test_what_is_sent_is_what_the_plan_says(count: int, shards: int, kind: str) -> None:
    """A head runs both circuits; of four ranks that share a state, the next test says it of each."""
    step = json.loads(on_ranks(count, "tests.support.ranks.step", count, shards, kind, 14, 16, 2)[-1])
    assert step["sent_bytes"] == step["planned_bytes"] > 0


@pytest.mark.parametrize(
    ("kind", "qubits", "most"), [("encoder", 22, 2.35), ("second", 22, 2.35), ("head", 22, 3.25), ("torch-encoder", 20, 3.25)]
)
def test_a_rank_holds_no_more_than_three_shards_and_a_quarter(kind: str, qubits: int, most: float) -> None:
    """State, cotangent and what is on its way; a head keeps what its encoder left besides."""
    step = json.loads(on_ranks(4, "tests.support.ranks.step", 4, 4, kind, qubits, 16, 1)[-1])
    assert step["sent_bytes"] == step["planned_bytes"]
    assert 2 < step["shards_held"] < most
