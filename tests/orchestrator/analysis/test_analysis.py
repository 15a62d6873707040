"""Effects against textbooks and statsmodels, their intervals against simulation, and what is said when trials are missing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

from hadamard.orchestrator.analysis.effects import Effect, Effects, adjusted_means, half_normal, interactions, main_effects
from hadamard.orchestrator.analysis.inference import lenth, sidak_level, sidak_p
from hadamard.orchestrator.design.design import Design, build
from hadamard.orchestrator.design.factors import Factor
from tests.support.designs import settings_of
from tests.support.published_designs import (
    FILTRATION,
    design_of,
    results_of,
    two_level,
)

MIXED = (
    Factor("head.qubits", levels=(6, 8, 10)),
    Factor("head.merge", levels=("mean", "concatenate", "blocks")),
    Factor("head.constant", levels=(False, True)),
)


def by_label(effects: Effects) -> dict[str, Effect]:
    return {effect.label: effect for effect in effects.effects}


def noisy(design: Design, splits: int, truth: np.ndarray, sd: float, rng: np.random.Generator) -> pd.DataFrame:
    """Return results with these true row means [rows], split differences of sd 1, and noise."""
    easy = rng.normal(0, 1, (splits, 1))
    return results_of(design, (truth + easy + rng.normal(0, sd, (splits, len(design.rows)))).tolist())


@pytest.fixture(scope="module")
def gaps() -> tuple[Design, pd.DataFrame]:
    """A full factorial of a numeric, a three-level and a two-level factor on four splits, four of the rows failed on all of them."""
    rng = np.random.default_rng(6)
    design = design_of(MIXED, itertools.product(*(factor.levels for factor in MIXED)))
    responses = rng.normal(0.7, 0.02, (4, 18)) + 0.02 * design.coded[:, 0]
    return design, results_of(design, np.where(np.isin(np.arange(18), (0, 1, 2, 15)), None, responses).tolist())


def test_unbalanced_tests_are_type_three_and_effects_those_of_statsmodels(gaps: tuple[Design, pd.DataFrame]) -> None:
    design, results = gaps
    done = results[results["status"] == "done"].copy()
    values = {row.index: row.values for row in design.rows}
    done["qubits"] = [(values[row]["head.qubits"] - 8) / 2 for row in done["row"]]  # type: ignore[operator]
    done["merge"] = [values[row]["head.merge"] for row in done["row"]]
    done["constant"] = [2.0 * bool(values[row]["head.constant"]) - 1 for row in done["row"]]
    model = smf.ols("test_accuracy ~ qubits + C(merge, Sum) + constant + C(split, Sum)", done).fit()
    expected = anova_lm(model, typ=3)
    assert abs(anova_lm(model, typ=1).loc["qubits", "F"] / expected.loc["qubits", "F"] - 1) > 0.01  # else the kind would not matter
    found = main_effects(design, results)
    assert (found.error.method, found.split_term.method) == ("residual", "fixed")
    assert [test.f for test in found.tests] == pytest.approx([expected.loc[name, "F"] for name in ("qubits", "C(merge, Sum)", "constant")])
    treatment = smf.ols("test_accuracy ~ qubits + C(merge, Treatment('mean')) + constant + C(split)", done).fit()
    blocks = "C(merge, Treatment('mean'))[T.blocks]"
    effect = by_label(found)["merge = blocks"]
    theirs = (treatment.params[blocks], treatment.bse[blocks], treatment.pvalues[blocks])
    assert (effect.estimate, effect.standard_error, effect.p) == pytest.approx(theirs)
    assert by_label(found)["qubits"].interval == pytest.approx(tuple(2 * model.conf_int().loc["qubits"]))


def test_level_means_of_noiseless_data_are_exact_despite_gaps() -> None:
    design = design_of(MIXED, itertools.product(*(factor.levels for factor in MIXED)))
    truth = 0.7 + 0.03 * design.coded[:, 0] + 0.01 * (design.coded[:, 1] == 2) + 0.005 * design.coded[:, 2]
    rng = np.random.default_rng(2)
    complete = truth + rng.normal(0, 0.05, (3, 1))
    results = results_of(design, np.where(rng.random((3, 18)) < 0.3, None, complete).tolist())
    effects = main_effects(design, results)
    means = adjusted_means(design, results, effects, (1,))
    assert list(means["label"]) == [("mean",), ("concatenate",), ("blocks",)]
    assert list(means["mean"] - means["mean"][0]) == pytest.approx([0, 0, 0.01], abs=1e-9)
    cells = adjusted_means(design, results, effects, (0, 2))
    assert cells["mean"].iloc[-1] - cells["mean"].iloc[0] == pytest.approx(0.07, abs=1e-9)
    raw = results.assign(merge=[design.rows[row].values["head.merge"] for row in results["row"]]).groupby("merge")["test_accuracy"].mean()
    assert abs(raw["concatenate"] - raw["mean"]) > 1e-3  # plain means would have been misled


def covered(true: dict[str, float], found: Effects) -> tuple[list[bool], bool]:
    """Return whether each interval holds the truth, and whether all simultaneous ones do."""
    alone = [effect.interval[0] <= true[effect.label] <= effect.interval[1] for effect in found.effects if effect.interval]
    together = [effect.simultaneous[0] <= true[effect.label] <= effect.simultaneous[1] for effect in found.effects if effect.simultaneous]
    return alone, all(together)


def coverage(runs: Iterable[tuple[list[bool], bool]]) -> tuple[float, float]:
    alone, together = zip(*runs, strict=True)
    return float(np.mean(list(itertools.chain(*alone)))), float(np.mean(together))


@pytest.mark.slow
def test_intervals_cover_at_their_level_with_gaps() -> None:
    rng = np.random.default_rng(7)
    design = two_level("abc")
    true = {"a": 2.0, "b": -0.5, "c": 0.0}
    means = design.coded @ np.array(list(true.values())) / 2

    def run() -> tuple[list[bool], bool]:
        results = noisy(design, 4, means, 1.0, rng)
        return covered(true, main_effects(design, results.drop(index=rng.choice(len(results), 4, replace=False))))

    alone, together = coverage(run() for _ in range(400))
    assert 0.93 < alone < 0.975
    assert 0.92 < together < 0.98


@pytest.mark.parametrize(("columns", "method"), [(11, "rows"), (5, "lenth")])
def test_intervals_allow_for_interactions_that_the_design_mixes_in(columns: int, method: str) -> None:
    """Five factors in 12 or 8 Plackett-Burman rows, all ten interactions present at random: trial noise alone would cover half."""
    rng = np.random.default_rng(11)
    factors = tuple(Factor(f"f{at}", levels=(-1, 1)) for at in range(columns))
    design = design_of(factors[:5], [tuple(row.values.values())[:5] for row in build(settings_of("plackett_burman"), factors, seed=0).rows])
    pairs = np.array([design.coded[:, i] * design.coded[:, j] for i, j in itertools.combinations(range(5), 2)])
    true = {factor.path: 0.0 for factor in factors[:5]}
    assert main_effects(design, noisy(design, 6, 3 * pairs.sum(axis=0), 1.0, rng)).error.method == method

    def run() -> tuple[list[bool], bool]:
        return covered(true, main_effects(design, noisy(design, 6, rng.normal(0, 0.7, len(pairs)) @ pairs, 1.0, rng)))

    alone, together = coverage(run() for _ in range(200))
    assert alone > 0.90
    assert together > 0.90


def test_a_design_clear_of_interactions_measures_with_trial_noise_alone() -> None:
    rng = np.random.default_rng(3)
    design = two_level("ab")
    found = main_effects(design, noisy(design, 10, 5 * design.coded[:, 0] * design.coded[:, 1], 0.1, rng))
    assert found.error.method == "trials"
    assert found.error.df == 27
    assert found.error.lack_of_fit_p is not None
    assert found.error.lack_of_fit_p < 1e-6
    assert found.error.sd == pytest.approx(0.1, rel=0.5)
    pair = interactions(design, noisy(design, 10, 5 * design.coded[:, 0] * design.coded[:, 1], 0.1, rng)).effects[0]
    assert pair.label == "a × b"
    assert pair.estimate == pytest.approx(10, abs=0.2)


def test_lost_rows_are_named_and_aliases_are_those_of_what_is_left() -> None:
    design = two_level("abc")
    lost = [None if row.coded[0] > 0 else float(row.index) for row in design.rows]
    found = main_effects(design, results_of(design, [lost, lost]))
    assert found.reason == "The trials that finished cannot tell these from other terms: a."
    assert set(by_label(found)) == {"b", "c"}
    assert found.rows == 4
    assert found.aliases is not None
    assert "a is the same in all these rows" in "\n".join(found.aliases.lines())


def test_a_saturated_design_on_one_split_gets_lenths_margins() -> None:
    design = build(settings_of("plackett_burman"), tuple(Factor(name, levels=(0, 1)) for name in "abcdefghijk"), seed=0)
    rng = np.random.default_rng(1)
    found = main_effects(design, results_of(design, [(rng.normal(0, 1, 12) + 10 * design.coded[:, 2]).tolist()]))
    assert found.error.method == "lenth"
    assert [effect.label for effect in found.effects if effect.stands_out] == ["c"]
    assert all(effect.p is None and effect.interval for effect in found.effects)
    expected = lenth([effect.estimate for effect in found.effects])
    assert expected is not None
    assert found.detectable == pytest.approx(expected.simultaneous_margin)


@pytest.mark.parametrize(("splits", "method"), [(1, "none"), (2, "none"), (4, "residual")])
def test_few_trials_of_one_factor(splits: int, method: str) -> None:
    design = two_level("a")
    found = main_effects(design, results_of(design, [[1.0, 2.0 + split] for split in range(splits)]))
    assert found.error.method == method
    assert found.effects[0].estimate == pytest.approx(1 + (splits - 1) / 2)
    assert (found.effects[0].interval is None) == (method == "none")


def test_nothing_done_is_said() -> None:
    design = two_level("ab")
    nothing = results_of(design, [[None] * 4])
    for found in (main_effects(design, nothing), interactions(design, nothing)):
        assert found.effects == ()
        assert found.reason == "No trial of the design has finished yet."
    assert adjusted_means(design, nothing, main_effects(design, nothing), (0,)).empty


def test_inestimable_interactions_have_a_reason() -> None:
    design = build(settings_of("plackett_burman"), tuple(Factor(name, levels=(0, 1)) for name in "abcdef"), seed=0)
    rng = np.random.default_rng(1)
    found = interactions(design, noisy(design, 3, np.zeros(len(design.rows)), 1, rng))
    assert found.effects == ()
    assert found.reason is not None
    assert "22 coefficients" in found.reason
    alone = two_level("a")
    assert "one factor" in str(interactions(alone, results_of(alone, [[1, 2], [1, 2]])).reason)


def test_logarithms_turn_effects_into_ratios() -> None:
    design = two_level("ab")
    results = results_of(design, [[3.0 * 2 ** row.coded[0] * factor for row in design.rows] for factor in (1, 5, 7)])
    results.loc[0, "test_accuracy"] = 0.0  # a meter that read nothing has no logarithm
    found = by_label(main_effects(design, results, log=True))
    assert np.exp(found["a"].estimate) == pytest.approx(4)
    assert np.exp(found["b"].estimate) == pytest.approx(1)


def test_ranges_without_repeated_levels_are_fitted_as_lines() -> None:
    factors = (Factor("lr", low=0.001, high=0.1, scale="log"), Factor("qubits", low=4, high=12, integer=True))
    design = build(settings_of("latin_hypercube", rows=10), factors, seed=2)
    found = main_effects(design, results_of(design, [(0.5 + 0.1 * design.coded @ np.array([1, -2])).tolist()]))
    assert [effect.change for effect in found.effects] == ["0.001 → 0.1", "4 → 12"]
    assert [effect.estimate for effect in found.effects] == pytest.approx([0.2, -0.4])


def test_half_normal_points_are_sorted_and_at_the_midpoint_quantiles() -> None:
    design = two_level("ABCD")
    points = half_normal(main_effects(design, results_of(design, [FILTRATION])))
    assert list(points["label"]) == ["B", "C", "D", "A"]
    # P(|z| < q) is 1/8, 3/8, 5/8 and 7/8; normal table.
    assert list(points["quantile"]) == pytest.approx([0.1573, 0.4888, 0.8871, 1.5341], abs=1e-4)


def test_sidak_level_and_p_belong_together() -> None:
    assert sidak_level(1) == pytest.approx(0.05)
    assert sidak_level(15) == pytest.approx(1 - 0.95 ** (1 / 15))
    assert sidak_p(sidak_level(7), 7) == pytest.approx(0.05)
    assert sidak_p(1.0, 3) == 1.0
    assert sidak_p(1e-20, 4) == pytest.approx(4e-20)


def test_equal_last_parts_of_paths_are_told_apart() -> None:
    factors = [Factor(path, levels=(1, 2)) for path in ("head.layers", "encoder.layers", "training.weight_decay")]
    design = design_of(factors, itertools.product((1, 2), repeat=3))
    found = main_effects(design, results_of(design, [range(8)]))
    assert [effect.label for effect in found.effects] == ["head layers", "encoder layers", "weight decay"]


@pytest.mark.parametrize("seed", range(6))
def test_trials_that_do_not_differ_within_splits_show_no_effect(seed: int) -> None:
    """Every head predicts one class: what least squares leaves is rounding, which must not stand out."""
    factors = tuple(Factor(name, levels=(0, 1)) for name in "abc")
    design = build(settings_of("full_factorial", splits=5), factors, seed=1)
    level = np.random.default_rng(seed).uniform(0.49, 0.51, size=5)
    results = pd.DataFrame(
        [
            {"arm": row.name, "row": row.index, "split": split, "status": "done", "test_accuracy": level[split]}
            for row in design.rows
            for split in range(5)
        ]
    )
    effects = main_effects(design, results)
    assert effects.error.method == "none"
    assert not any(effect.stands_out or effect.is_hint for effect in effects.effects)
