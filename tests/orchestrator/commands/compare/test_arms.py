"""Arms of two studies: which are matched, and the difference of two independent estimates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hadamard.orchestrator.commands.compare.arms import arm_pairs, satterthwaite
from hadamard.orchestrator.commands.compare.side import Side


def test_common_arms_come_first_behind_the_mean_of_their_rows(sides: tuple[Side, Side]) -> None:
    pairs = arm_pairs(*sides)
    common = [pair.arm for pair in pairs if pair.first and pair.second]
    assert common == ["mean of common rows (2)", "qubits 2, lr 0.02", "qubits 3, lr 0.02", "logistic"]
    assert [pair.arm for pair in pairs[len(common) :]] == [
        "qubits 2, lr 0.1",
        "qubits 3, lr 0.1",
        "qubits 2, lr 0.2",
        "qubits 3, lr 0.2",
        "svc",
    ]
    assert all(pair.difference is None for pair in pairs[len(common) :])


def test_the_same_trials_need_no_interval(sides: tuple[Side, Side]) -> None:
    (pair,) = [pair for pair in arm_pairs(sides[0], sides[0]) if pair.arm == "qubits 3, lr 0.1"]
    assert pair.difference
    assert (pair.difference.estimate, pair.difference.interval, pair.difference.method) == (0, None, "paired")


def test_independent_estimates_have_the_degrees_of_freedom_of_welch() -> None:
    rng = np.random.default_rng(0)
    samples = [rng.normal(0, sd, n) for sd, n in ((1.0, 7), (3.0, 12))]
    error, df = satterthwaite([(float(stats.sem(sample)), len(sample) - 1) for sample in samples])
    oracle = stats.ttest_ind(*samples, equal_var=False)
    assert df == pytest.approx(oracle.df)
    assert error == pytest.approx((samples[0].mean() - samples[1].mean()) / oracle.statistic)
    assert satterthwaite([(0.0, 3), (0.0, 4)]) == (0.0, 7), "estimates without error"
