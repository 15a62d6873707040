"""The cost of one of the studies that are compared."""

from __future__ import annotations

from hadamard.orchestrator.commands.compare.side import Side, cost_of


def test_a_cost_is_known_if_that_of_every_finished_trial_is(sides: tuple[Side, Side]) -> None:
    cost = cost_of(sides[0])
    assert cost.train_s == 2.0 * len(sides[0].records)
    assert cost.energy_j is None
