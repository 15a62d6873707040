"""Splits as blocks: the mixed model against statsmodels, and where blocks stay fixed."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from hadamard.orchestrator.analysis.blocks import block_columns, fit_in_splits, variance_ratio
from hadamard.orchestrator.analysis.effects import Effects, adjusted_means, interactions, main_effects
from hadamard.orchestrator.analysis.inference import least_squares
from hadamard.orchestrator.design.design import Design, build
from hadamard.orchestrator.design.factors import Factor
from tests.support.designs import settings_of
from tests.support.published_designs import results_of, two_level

FACTORS = tuple(Factor(name, levels=(0, 1)) for name in "abcdef")


def study(seed: int, splits: int = 10, split_sd: float = 1.0, lost: float = 0.15) -> tuple[Design, pd.DataFrame]:
    """Return a 16-row fraction of resolution IV with noise of sd 1, and its results."""
    rng = np.random.default_rng(seed)
    design = build(settings_of("fractional_factorial", resolution=4), FACTORS, 0)
    responses = design.coded @ [1.0, -0.5, 0.2, 0, 0, 0] + rng.normal(0, split_sd, (splits, 1)) + rng.normal(0, 1, (splits, 16))
    return design, results_of(design, np.where(rng.random((splits, 16)) < lost, None, responses).tolist())


def frame(design: Design, results: pd.DataFrame) -> pd.DataFrame:
    """Return the finished trials with a coded column per factor, for formulas."""
    done = results[results["status"] == "done"].reset_index(drop=True)
    coded = pd.DataFrame(design.coded[done["row"].to_numpy(dtype=int)], columns=list("abcdef"))
    return pd.concat([done, coded], axis=1)


def mixed_model(data: pd.DataFrame) -> Any:
    """Return statsmodels' fit by restricted maximum likelihood, searched without its gradients, which leave the fourth digit open."""
    model = smf.mixedlm("test_accuracy ~ a + b + c + d + e + f", data, groups=data["split"])
    return model.fit(method="powell")


def halves(found: Effects) -> dict[str, float]:
    """Return the coefficients of coded factors: half the effects."""
    return {effect.label: effect.estimate / 2 for effect in found.effects}


@pytest.mark.parametrize("seed", range(4))
def test_unbalanced_effects_are_those_of_statsmodels_mixed_model(seed: int) -> None:
    design, results = study(seed)
    theirs = mixed_model(data := frame(design, results))
    found = main_effects(design, results)
    assert found.split_term.method == "random"
    assert found.split_term.ratio == pytest.approx(float(theirs.cov_re.iloc[0, 0] / theirs.scale), rel=2e-4)
    assert halves(found) == pytest.approx(dict(theirs.fe_params[list("abcdef")]), rel=1e-5, abs=1e-6)
    alike = data["split"].to_numpy()[:, None] == data["split"].to_numpy()
    weighted = smf.gls("test_accuracy ~ a + b + c + d + e + f", data, sigma=np.eye(len(data)) + found.split_term.ratio * alike).fit()
    assert halves(found) == pytest.approx(dict(weighted.params[list("abcdef")]))
    assert [effect.unit / 2 for effect in found.effects] == pytest.approx(list(weighted.bse[list("abcdef")] / np.sqrt(weighted.scale)))
    fixed = smf.ols("test_accuracy ~ a + b + c + d + e + f + C(split)", data).fit()
    assert max(abs(effect.estimate / 2 - fixed.params[effect.label]) for effect in found.effects) > 1e-4  # else nothing would be tested


def test_noise_and_its_degrees_of_freedom_are_those_within_splits() -> None:
    design, results = study(1)
    found = main_effects(design, results)
    fixed = smf.ols("test_accuracy ~ a + b + c + d + e + f + C(split)", frame(design, results)).fit()
    assert (found.split_term.method, found.error.method) == ("random", "residual")
    assert found.error.sd == pytest.approx(np.sqrt(fixed.scale))
    assert found.error.df == fixed.df_resid


def test_the_mean_of_a_level_is_the_mixed_models_on_the_average_of_these_splits() -> None:
    design, results = study(1)
    theirs = mixed_model(frame(design, results))
    means = adjusted_means(design, results, main_effects(design, results), (0,))
    here = np.mean([float(effect.iloc[0]) for effect in theirs.random_effects.values()])
    intercept = float(theirs.fe_params["Intercept"]) + here
    assert list(means["mean"]) == pytest.approx([intercept - theirs.fe_params["a"], intercept + theirs.fe_params["a"]], abs=1e-5)


@pytest.mark.parametrize("lost_rows", [(), (3, 8)])
def test_balanced_splits_stay_fixed_blocks(lost_rows: tuple[int, ...]) -> None:
    """Also where the same rows are missing from every split: then differences between splits tell nothing of factors."""
    design, results = study(2, lost=0)
    results = results[~results["row"].isin(lost_rows)]
    found = main_effects(design, results)
    assert (found.split_term.method, found.split_term.reason, found.split_term.ratio) == ("fixed", "balanced", None)
    fixed = smf.ols("test_accuracy ~ a + b + c + d + e + f + C(split)", frame(design, results)).fit()
    assert halves(found) == pytest.approx(dict(fixed.params[list("abcdef")]))
    assert [effect.unit / 2 for effect in found.effects] == pytest.approx(list(fixed.bse[list("abcdef")] / np.sqrt(fixed.scale)))


def test_splits_that_do_not_differ_leave_plain_least_squares() -> None:
    design, results = study(11, split_sd=0.0)
    found = main_effects(design, results)
    assert found.split_term.ratio == 0
    plain = smf.ols("test_accuracy ~ a + b + c + d + e + f", frame(design, results)).fit()
    assert [effect.estimate / 2 for effect in found.effects] == pytest.approx(
        [plain.params[effect.label] for effect in found.effects], abs=1e-5
    )


def test_splits_that_differ_beyond_measure_are_fixed_blocks() -> None:
    design, results = study(4, split_sd=1e4)
    found = main_effects(design, results)
    assert (found.split_term.method, found.split_term.reason) == ("fixed", "splits differ beyond measure")
    noiseless = results.assign(test_accuracy=results["split"] + design.coded[results["row"].to_numpy(dtype=int), 0])
    exact = main_effects(design, noiseless)
    assert exact.split_term.method == "fixed"
    assert exact.effects[0].estimate == pytest.approx(2)


def test_a_large_ratio_comes_close_to_fixed_blocks() -> None:
    design, results = study(4, split_sd=30.0)
    found = main_effects(design, results)
    assert found.split_term.ratio is not None
    assert found.split_term.ratio > 100
    fixed = smf.ols("test_accuracy ~ a + b + c + d + e + f + C(split)", frame(design, results)).fit()
    assert [effect.estimate / 2 for effect in found.effects] == pytest.approx(
        [fixed.params[effect.label] for effect in found.effects], abs=1e-3
    )


def test_one_split_has_no_blocks() -> None:
    design, results = study(0, splits=1)
    assert main_effects(design, results).split_term.method == "none"


def test_the_ratio_does_not_mind_columns_that_repeat_each_other() -> None:
    rng = np.random.default_rng(5)
    splits = np.repeat(np.arange(8), 9)[rng.random(72) < 0.8]
    columns = np.column_stack([np.ones(len(splits)), rng.normal(size=(len(splits), 3))])
    response = rng.normal(size=8)[splits] + rng.normal(size=len(splits))
    twice = np.column_stack([columns, columns[:, 1:]])
    assert variance_ratio(twice, splits, response) == pytest.approx(variance_ratio(columns, splits, response), rel=1e-4)


def test_the_ratio_is_found_wherever_it_lies() -> None:
    """Restricted maximum likelihood is nearly unbiased with many splits."""
    rng = np.random.default_rng(6)
    splits = np.repeat(np.arange(400), 6)
    for true in (0.1, 1.0, 20.0):
        response = rng.normal(0, np.sqrt(true), 400)[splits] + rng.normal(size=len(splits))
        assert variance_ratio(np.ones((len(splits), 1)), splits, response) == pytest.approx(true, rel=0.25)


def test_what_splits_alone_tell_apart_is_not_told() -> None:
    """One level on the first splits, the other on the rest: a mixed model would give an answer, with the degrees of freedom of splits."""
    splits = np.repeat(np.arange(6), 4)
    columns = np.column_stack([np.ones(24), np.where(splits < 3, -1.0, 1.0), np.tile([-1.0, 1.0, -1.0, 1.0], 6)])
    fit, term = fit_in_splits(columns, splits, np.random.default_rng(0).normal(size=24))
    assert term.method == "random"
    places = np.eye(len(fit.beta))
    assert [fit.estimable(places[at]) for at in (1, 2)] == [False, True]
    assert fit.df == least_squares(np.column_stack([columns, block_columns(splits)]), np.zeros(24)).df


def test_interactions_use_the_mixed_model_too() -> None:
    design = two_level("abc")
    rng = np.random.default_rng(3)
    responses = rng.normal(0, 1, (8, 1)) + rng.normal(0, 1, (8, 8))
    found = interactions(design, results_of(design, np.where(rng.random((8, 8)) < 0.2, None, responses).tolist()))
    assert found.split_term.method == "random"
    assert len(found.effects) == len(list(itertools.combinations("abc", 2)))
