"""Do 95 % intervals hold in 95 of 100 studies? Simulated studies with known effects, with and without failed trials."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from hadamard.orchestrator.analysis.comparisons import MEAN_ROW, paired_differences
from hadamard.orchestrator.analysis.effects import main_effects
from hadamard.orchestrator.analysis.inference import Interval
from hadamard.orchestrator.design.design import build
from hadamard.orchestrator.design.factors import Factor
from tests.support.designs import settings_of
from tests.support.published_designs import results_of

REPETITIONS = 1000
EFFECTS = np.array([1.2, -0.6, 0.3, 0.0, 0.0, 0.0])
"""From low to high, in standard deviations of one trial's noise."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of the linear algebra cost these small matrices ten times what they gain where other processes want the cores, too."""
    with threadpool_limits(1):
        yield


def holds(interval: Interval | None, truth: float) -> bool:
    assert interval is not None
    return interval[0] <= truth <= interval[1]


def failed(rng: np.random.Generator, share: float, count: int) -> np.ndarray:
    return np.where(rng.random(count) < share, "failed", "done")


@pytest.mark.slow
@pytest.mark.parametrize(("splits", "split_sd", "lost"), [(10, 1.0, 0.0), (10, 1.0, 0.1), (20, 0.3, 0.1)])
def test_intervals_of_main_effects_cover_at_their_level(splits: int, split_sd: float, lost: float) -> None:
    """A fraction of resolution IV, splits as blocks; two factors interact, which this design keeps out of main effects."""
    rng = np.random.default_rng(splits + round(10 * lost))
    design = build(settings_of("fractional_factorial", resolution=4), tuple(Factor(name, levels=(0, 1)) for name in "abcdef"), 0)
    means = design.coded @ EFFECTS / 2 + 0.2 * design.coded[:, 0] * design.coded[:, 1]
    blank = results_of(design, np.zeros((splits, 16)).tolist())
    alone, together = np.zeros(len(EFFECTS)), 0
    for _ in range(REPETITIONS):
        responses = means + rng.normal(0, split_sd, (splits, 1)) + rng.normal(0, 1, (splits, 16))
        results = blank.assign(test_accuracy=responses.ravel(), status=failed(rng, lost, len(blank)))
        found = main_effects(design, results)
        assert found.split_term.method == ("random" if lost else "fixed")
        alone += [holds(effect.interval, truth) for effect, truth in zip(found.effects, EFFECTS, strict=True)]
        together += all(holds(effect.simultaneous, truth) for effect, truth in zip(found.effects, EFFECTS, strict=True))
    shares = alone / REPETITIONS
    assert np.all((shares > 0.93) & (shares < 0.97)), shares
    assert 0.93 < together / REPETITIONS < 0.98


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0.0, 0.1])
def test_intervals_of_paired_differences_cover_at_their_level(lost: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row against two baselines that share its splits, and so its luck; the bootstrap, which is not tested here, takes the time."""
    monkeypatch.setattr("hadamard.orchestrator.analysis.comparisons._bootstrap", lambda values, seed: None)
    rng = np.random.default_rng(5)
    truth = {"logistic": 0.5, "svc": 0.0}
    arms, splits = ["r00", *truth], 10
    blank = pd.DataFrame(
        [{"key": f"{arm}-{at}", "arm": arm, "row": 0 if arm == "r00" else None, "split": at} for arm in arms for at in range(splits)]
    ).astype({"row": "Int64"})
    shift = np.array([0.0, *(-difference for difference in truth.values())])[:, None]
    alone, together = np.zeros(len(truth)), 0
    for _ in range(REPETITIONS):
        responses = shift + rng.normal(0, 2, splits) + rng.normal(0, [[1.0], [0.5], [2.0]], (len(arms), splits))
        results = blank.assign(test_accuracy=responses.ravel(), validation_accuracy=0.5, status=failed(rng, lost, len(blank)))
        found = {one.baseline: one for one in paired_differences(results) if one.arm == MEAN_ROW}
        alone += [holds(found[name].interval, difference) for name, difference in truth.items()]
        together += all(holds(found[name].simultaneous, difference) for name, difference in truth.items())
    shares = alone / REPETITIONS
    assert np.all((shares > 0.93) & (shares < 0.97)), shares
    assert together / REPETITIONS > 0.93
