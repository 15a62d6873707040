"""Effects of factors that two studies share."""

from __future__ import annotations

import pytest

from hadamard.orchestrator.commands.compare.effects import effect_pairs
from hadamard.orchestrator.commands.compare.side import Side


def test_effects_are_matched_by_factor_and_change(sides: tuple[Side, Side]) -> None:
    qubits, first, second = effect_pairs(*sides)
    assert (qubits.path, qubits.label, qubits.agree) == ("head.qubits", "qubits 2 → 3", False)
    assert qubits.difference == pytest.approx(0.02, abs=0.01)
    assert first.first
    assert second.second
    assert first.second is second.first is first.difference is second.agree is None, "the learning rate has other levels"


def test_effects_of_a_study_agree_with_itself(sides: tuple[Side, Side]) -> None:
    assert [pair.agree for pair in effect_pairs(sides[0], sides[0])] == [True, True]
