"""Power against Cohen's table, simulation, and the defining mixture of normals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.power import TTestPower

from hadamard.orchestrator.design.columns import main_effect_columns
from hadamard.orchestrator.design.design import Design, build
from hadamard.orchestrator.design.factors import Factor
from hadamard.orchestrator.design.power import detectable_noncentrality, smallest_effect, splits_needed
from tests.support.designs import settings_of
from tests.support.published_designs import design_of

MERGE = Factor("merge", levels=("mean", "concatenate", "blocks"))


def two_level(count: int) -> tuple[Factor, ...]:
    return tuple(Factor(f"f{i}", levels=(0, 1)) for i in range(count))


def two_groups(each: int) -> Design:
    return build(settings_of("explicit", rows=[{"f0": i % 2} for i in range(2 * each)]), two_level(1), 0)


def twins() -> Design:
    """Return a design whose first two factors always change together, as the rows that finished may."""
    return design_of(two_level(3), [(i % 2, i % 2, i // 2 % 2) for i in range(8)])


@pytest.mark.parametrize(("effect", "each"), [(0.2, 393), (0.5, 64), (0.8, 26)])
def test_two_groups_need_the_sizes_of_cohens_table(effect: float, each: int) -> None:
    """Two-sided t test at 0.05 with power 0.80 (Cohen 1988, table 2.4.1): rows per group for an effect in standard deviations."""
    (enough,), (short,) = smallest_effect(two_groups(each), 1, 1.0), smallest_effect(two_groups(each - 1), 1, 1.0)
    assert enough.effect is not None
    assert short.effect is not None
    assert round(enough.effect, 3) <= effect < short.effect
    assert enough.meaning == "low to high"


def test_effects_are_found_as_often_as_promised() -> None:
    """Simulate an unbalanced design with blocks; fit it with a dummy for each split; count rejections for each term."""
    factors = (*two_level(2), MERGE)
    full = build(settings_of("full_factorial"), factors, 0)
    rows = [full.rows[i].values for i in (0, 1, 2, 4, 5, 7, 8, 10, 11)]
    design = build(settings_of("explicit", rows=rows), factors, 0)
    splits, sd, power, repeats = 3, 0.7, 0.8, 20_000
    columns = np.tile(main_effect_columns(factors, design.coded)[1], (splits, 1))
    blocks = np.repeat(np.eye(splits), len(rows), axis=0)
    model = np.column_stack([blocks, columns])
    df = len(model) - model.shape[1]
    rng = np.random.default_rng(1)
    for i, found in enumerate(smallest_effect(design, splits, sd, alpha=0.05, power=power)):
        assert found.effect is not None
        assert found.meaning == ("low to high" if i < 2 else "level against the mean of levels")
        coefficient = found.effect / (2 if i < 2 else 1)
        responses = (blocks @ [3.0, -1.0, 2.0] + coefficient * columns[:, i])[:, None] + sd * rng.standard_normal((len(model), repeats))
        fitted, squares, *_ = np.linalg.lstsq(model, responses, rcond=None)
        errors = np.sqrt(squares / df * np.linalg.inv(model.T @ model)[splits + i, splits + i])
        rejected = np.mean(np.abs(fitted[splits + i] / errors) > stats.t.ppf(0.975, df))
        assert rejected == pytest.approx(power, abs=4 * np.sqrt(power * (1 - power) / repeats))


@pytest.mark.parametrize("df", [1, 2, 5, 30, 1000])
@pytest.mark.parametrize("alpha", [0.001, 0.05])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.99])
def test_noncentrality_solves_the_mixture_that_defines_t(df: int, alpha: float, power: float) -> None:
    """T = (Z + distance) / sqrt(V / df): average a normal's tails over quantiles of V."""
    quantiles = (np.arange(40_000) + 0.5) / 40_000
    limits = stats.t.isf(alpha / 2, df) * np.sqrt(stats.chi2.ppf(quantiles, df) / df)
    found = detectable_noncentrality(df, alpha, power)
    expected = optimize.brentq(lambda d: np.mean(stats.norm.sf(limits - d) + stats.norm.cdf(-limits - d)) - power, 0, 2 * found + 1)
    assert found == pytest.approx(expected, rel=1e-4)


def test_power_must_exceed_alpha() -> None:
    with pytest.raises(ValueError, match="alpha"):
        detectable_noncentrality(10, alpha=0.05, power=0.05)


def test_effects_scale_with_noise_and_shrink_with_splits() -> None:
    design = build(settings_of("plackett_burman"), two_level(5), 0)
    one, two, more = (smallest_effect(design, splits, sd)[0].effect for splits, sd in ((3, 1.0), (3, 2.0), (12, 1.0)))
    assert one is not None
    assert two is not None
    assert more is not None
    assert two == pytest.approx(2 * one)
    # Four times the trials halve the standard error; the further degrees of freedom help a little more.
    assert 0.9 * one / 2 < more < one / 2


def test_no_residual_degrees_of_freedom_is_none_with_a_reason() -> None:
    saturated = build(settings_of("plackett_burman"), two_level(7), 0)
    found = smallest_effect(saturated, 1, 1.0)
    assert [one.effect for one in found] == [None] * 7
    assert found[0].reason is not None
    assert "no residual degrees of freedom" in found[0].reason
    assert "8 rows" in found[0].reason
    assert all(one.effect is not None and one.reason is None for one in smallest_effect(saturated, 2, 1.0))


def test_effects_that_share_a_column_are_none_with_a_reason() -> None:
    first, second, third = smallest_effect(twins(), 2, 1.0)
    assert first.effect is None
    assert second.effect is None
    assert third.effect is not None
    assert first.reason is not None
    assert "cannot tell" in first.reason


def test_a_level_against_the_mean_has_its_textbook_variance() -> None:
    """In a balanced one-way layout of k levels with n trials each, level mean less grand mean has variance sd^2 (k - 1) / (k n)."""
    design = build(settings_of("explicit", rows=[{"merge": level} for level in MERGE.levels * 4]), (MERGE,), 0)
    splits = 5
    df = 12 * splits - splits - 2
    expected = detectable_noncentrality(df, 0.05, 0.8) * np.sqrt(2 / 3 / (4 * splits))
    assert [found.effect for found in smallest_effect(design, splits, 1.0)] == pytest.approx([expected, expected])


def paired_difference(splits: int, alpha: float, power: float) -> float:
    """Return the smallest difference of two heads that a paired t test over splits finds, in standard deviations of the difference."""
    return detectable_noncentrality(splits - 1, alpha, power) / float(np.sqrt(splits))


@pytest.mark.parametrize(("effect", "splits"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_paired_differences_need_the_splits_of_published_tables(effect: float, splits: int) -> None:
    """Paired t test, two-sided 0.05, power 0.80, effects in standard deviations of the difference, as G*Power and its manual give them."""
    assert paired_difference(splits, 0.05, 0.8) <= effect < paired_difference(splits - 1, 0.05, 0.8)


@pytest.mark.parametrize(("power", "alpha"), [(0.8, 0.05), (0.95, 0.01)])
def test_paired_differences_need_as_many_splits_as_statsmodels_says(power: float, alpha: float) -> None:
    for effect in (0.35, 1.1):
        exact = TTestPower().solve_power(effect_size=effect, alpha=alpha, power=power)
        splits = int(np.ceil(exact))
        assert paired_difference(splits, alpha, power) <= effect < paired_difference(splits - 1, alpha, power)


def test_the_splits_needed_are_the_fewest_that_find_the_effect() -> None:
    design = build(settings_of("full_factorial"), (*two_level(1), MERGE), 0)
    needed = splits_needed(design, sd=0.01, effect=0.006, power=0.9)
    assert needed is not None
    assert needed > 2

    def largest(splits: int) -> float:
        return max(found.effect or np.inf for found in smallest_effect(design, splits, 0.01, power=0.9))

    assert largest(needed) <= 0.006 < largest(needed - 1)


def test_a_saturated_design_needs_a_second_split() -> None:
    assert splits_needed(build(settings_of("plackett_burman"), two_level(7), 0), sd=0.001, effect=1.0, power=0.8) == 2


def test_no_number_of_splits_finds_what_rows_mix_up_or_what_is_too_small() -> None:
    assert splits_needed(twins(), sd=0.01, effect=1.0, power=0.8) is None
    assert splits_needed(build(settings_of("full_factorial"), two_level(2), 0), sd=1.0, effect=1e-3, power=0.8) is None
    with pytest.raises(ValueError, match="above zero"):
        splits_needed(twins(), sd=0.01, effect=0.0, power=0.8)
