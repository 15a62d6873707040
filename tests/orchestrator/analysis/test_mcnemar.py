"""McNemar's test against published examples, statsmodels, and its own error rate; Holm's adjustment against statsmodels."""

from __future__ import annotations

import bisect

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as theirs
from statsmodels.stats.multitest import multipletests

from hadamard.orchestrator.analysis.mcnemar import McNemar, discordant_p, holm, mcnemar, mcnemar_over_splits


def pair(only_a: int, only_b: int, both: int = 0, neither: int = 0) -> McNemar:
    """Return the test of two heads that agree and disagree so often."""
    a = [True] * only_a + [False] * only_b + [True] * both + [False] * neither
    b = [False] * only_a + [True] * only_b + [True] * both + [False] * neither
    return mcnemar(a, b)


def test_airway_hyper_responsiveness_has_the_published_p_values() -> None:
    """21 children before and after a transplantation: Bentur et al., in Fagerland, Lydersen and Laake, table 1 (2013)."""
    found = pair(1, 7, both=1, neither=12)
    assert (found.only_a, found.only_b, found.sentences, found.method) == (1, 7, 21, "exact")
    assert found.p == pytest.approx(0.0703, abs=5e-5)
    assert discordant_p(1, 7, mid=True) == pytest.approx(0.0391, abs=5e-5)
    assert found.difference == pytest.approx(-6 / 21)


def test_cabinet_approval_has_the_published_p_value() -> None:
    """Approval in January and April (S. Aoki, Gunma University, McNemar's test): 28 and 35 changed sides, binomial p 0.45."""
    assert discordant_p(28, 35, mid=False) == pytest.approx(0.45, abs=5e-3)
    found = pair(28, 35, both=48, neither=53)
    assert found.method == "mid-p"
    assert 0.3778 < found.p < 0.4497  # between chi-squared without and with continuity correction, as given there


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (3, 3), (2, 9), (14, 10), (20, 20), (150, 86)])
def test_exact_p_is_statsmodels(only_a: int, only_b: int) -> None:
    assert discordant_p(only_a, only_b, mid=False) == pytest.approx(theirs([[5, only_a], [only_b, 7]], exact=True).pvalue)


def test_heads_that_never_disagree_do_not_differ() -> None:
    assert pair(0, 0, both=10).p == 1.0
    assert pair(40, 40).p == pytest.approx(1 - 0.0889 / 2, abs=1e-4)  # half the probability of 40 heads in 80 tosses


def error_rate(disagreements: int) -> float:
    """Return how often equal heads with this many disagreements are told apart at 0.05: the tails of the binomial that are."""
    told = bisect.bisect_left(range(disagreements // 2 + 1), True, key=lambda k: pair(k, disagreements - k).p > 0.05)
    return 2 * float(stats.binom.cdf(told - 1, disagreements, 0.5))


def test_equal_heads_are_told_apart_once_in_twenty() -> None:
    exact = [error_rate(n) for n in range(1, 25)]
    assert max(exact) <= 0.05
    counts = np.arange(25, 400)
    mid = np.array([error_rate(n) for n in counts])
    for expected in (60, 150, 300):  # how many sentences divide two heads is itself chance
        weights = stats.poisson.pmf(counts, expected)
        assert mid @ weights / weights.sum() == pytest.approx(0.05, abs=0.001)
    assert np.mean(exact) < 0.03  # why many disagreements are not tested exactly


@pytest.mark.parametrize(("a", "b"), [([True], [True, False]), ([], []), ([[True]], [[True]])])
def test_other_than_the_same_sentences_is_refused(a: list[bool], b: list[bool]) -> None:
    with pytest.raises(ValueError, match="same sentences"):
        mcnemar(a, b)


def test_splits_are_counted_in_either_direction_after_holm() -> None:
    by_split = {0: pair(60, 20), 3: pair(20, 60), 4: pair(29, 15), 7: pair(5, 5), 9: pair(70, 20)}
    assert by_split[4].p < 0.05
    found = mcnemar_over_splits(by_split)
    assert (found.splits, found.a_better, found.b_better) == (5, 2, 1)
    assert found.adjusted_p[4] == pytest.approx(2 * by_split[4].p)
    assert list(found.adjusted_p) == [0, 3, 4, 7, 9]
    assert mcnemar_over_splits({}).splits == 0


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_statsmodels(seed: int) -> None:
    p = np.random.default_rng(seed).uniform(0, 0.2, 9)
    assert holm(list(p)) == pytest.approx(list(multipletests(p, method="holm")[1]))
