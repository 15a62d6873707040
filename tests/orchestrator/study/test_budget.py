"""The settings of a budget: units, and which limits are used up."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hadamard.orchestrator.study.budget import Budget, Used, passed


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("wall", "90 min", 5400.0),
        ("wall", "1.5h", 5400.0),
        ("wall", "2 d", 172_800.0),
        ("wall", 30.0, 30.0),
        ("energy", "500 kJ", 5e5),
        ("energy", "2 kWh", 7.2e6),
        ("energy", "1e3 J", 1000.0),
        ("node_hours", 2.5, 2.5),
        ("trials", 40, 40),
    ],
)
def test_a_limit_is_a_number_or_a_number_with_a_unit(name: str, written: object, value: float) -> None:
    budget = Budget.model_validate({name: written})
    assert getattr(budget, name) == value
    assert budget.is_set
    assert not Budget().is_set


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"wall": "2 kWh"}, "is a number with a unit: s, min, h, d, such as `2 h`; not '2 kWh'"),
        ({"energy": "2 h"}, "is a number with a unit: J, kJ, MJ, Wh, kWh"),
        ({"wall": "soon"}, "not 'soon'"),
        ({"wall": 0.0}, "greater than 0"),
        ({"trials": 0}, "greater than or equal to 1"),
        ({"trials": 1.5}, "valid integer"),
    ],
)
def test_other_limits_are_refused(content: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("`", ".")):
        Budget.model_validate(content)


def test_a_limit_is_passed_when_it_is_reached_and_never_by_what_is_not_known() -> None:
    budget = Budget(wall=10.0, energy=100.0, trials=3)
    assert passed(budget, Used(wall_s=9.9, node_hours=99.0, energy_j=None, trials=2)) == []
    assert passed(budget, Used(wall_s=10.0, node_hours=0.0, energy_j=100.0, trials=4)) == ["wall", "energy", "trials"]
