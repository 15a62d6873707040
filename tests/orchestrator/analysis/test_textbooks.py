"""Worked examples of textbooks and handbooks, to the digits printed there: effects, analyses of variance, Lenth's method, aliases."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hadamard.orchestrator.analysis.effects import Effect, Effects, half_normal, interactions, main_effects
from hadamard.orchestrator.analysis.inference import lenth
from hadamard.orchestrator.design.design import Design
from hadamard.orchestrator.design.factors import Factor
from tests.support.designs import generated
from tests.support.published_designs import (
    BICYCLE,
    BICYCLE_EFFECTS,
    CONVERSION,
    CONVERSION_EFFECTS,
    EDDY_CURRENT,
    EDDY_CURRENT_EFFECTS,
    FILTRATION,
    FILTRATION_EFFECTS,
    FILTRATION_HALF_EFFECTS,
    FILTRATION_MARGIN,
    FILTRATION_SIMULTANEOUS_MARGIN,
    PENICILLIN,
    PILOT_PLANT,
    PILOT_PLANT_EFFECTS,
    PLASMA_ETCH,
    PLASMA_ETCH_EFFECTS,
    TENSILE_STRENGTH,
    TENSILE_STRENGTH_MARGIN,
    TENSILE_STRENGTH_PSE,
    TENSILE_STRENGTH_SIMULTANEOUS_MARGIN,
    VASCULAR_GRAFT,
    design_of,
    results_of,
    two_level,
)


def by_label(effects: Effects) -> dict[str, Effect]:
    return {effect.label: effect for effect in effects.effects}


def estimates(*tables: Effects) -> dict[str, float]:
    return {effect.label: effect.estimate for table in tables for effect in table.effects}


def test_filtration_rate_effects_are_montgomerys() -> None:
    design = two_level("ABCD")
    results = results_of(design, [FILTRATION])
    found = {**by_label(main_effects(design, results)), **by_label(interactions(design, results))}
    assert {label: effect.estimate for label, effect in found.items()} == pytest.approx(
        {label: value for label, value in FILTRATION_EFFECTS.items() if label in found}
    )
    assert len(found) == 10


def test_lenth_margins_of_the_filtration_rate_are_montgomerys() -> None:
    margins = lenth(list(FILTRATION_EFFECTS.values()))
    assert margins is not None
    assert margins.pse == pytest.approx(2.625)
    assert (margins.margin, margins.simultaneous_margin) == pytest.approx((FILTRATION_MARGIN, FILTRATION_SIMULTANEOUS_MARGIN), abs=5e-4)


def test_plasma_etch_effects_and_error_are_montgomerys() -> None:
    factors = two_level("ABC").factors
    design = design_of(factors, [point[::-1] for _ in PLASMA_ETCH for point in itertools.product((-1, 1), repeat=3)])
    results = results_of(design, [list(itertools.chain(*PLASMA_ETCH))])
    found = {**by_label(main_effects(design, results)), **by_label(interactions(design, results))}
    assert {label: effect.estimate for label, effect in found.items()} == pytest.approx(PLASMA_ETCH_EFFECTS)
    error = interactions(design, results).error
    assert error.sd is not None
    assert error.sd**2 * error.df == pytest.approx(18020.50 + 126.5625)  # pure error and ABC, both as given


def test_eddy_current_effects_errors_and_p_values_are_nists() -> None:
    design = two_level(("X1", "X2", "X3"))
    results = results_of(design, [EDDY_CURRENT])
    found = {**by_label(main_effects(design, results)), **by_label(interactions(design, results))}
    assert {label: effect.estimate for label, effect in found.items()} == pytest.approx(EDDY_CURRENT_EFFECTS)
    two = design_of(design.factors[:2], [tuple(row.values.values())[:2] for row in design.rows])
    kept = by_label(main_effects(two, results_of(two, [EDDY_CURRENT])))
    assert kept["X1"].standard_error == pytest.approx(2 * 0.1076, abs=1e-4)
    assert (kept["X1"].p, kept["X2"].p) == pytest.approx((2.89e-5, 0.0100), rel=5e-3)


def graft() -> Design:
    return design_of([Factor("pressure", levels=tuple(VASCULAR_GRAFT))], [(pressure,) for pressure in VASCULAR_GRAFT])


def test_vascular_graft_blocks_give_montgomerys_f_test() -> None:
    found = main_effects(graft(), results_of(graft(), list(zip(*VASCULAR_GRAFT.values(), strict=True))))
    assert found.error.sd is not None
    assert found.error.sd**2 == pytest.approx(7.33, abs=0.005)
    assert (found.tests[0].f, found.tests[0].p) == pytest.approx((8.11, 0.0019), abs=0.006)
    assert found.tests[0].df == (3, 15)
    assert by_label(found)["pressure = 9100"].estimate == pytest.approx(514.6 / 6 - 556.9 / 6)


def test_vascular_graft_with_a_missing_batch_has_montgomerys_error() -> None:
    blocks = [list(block) for block in zip(*VASCULAR_GRAFT.values(), strict=True)]
    blocks[3][1] = None  # type: ignore[call-overload]
    error = main_effects(graft(), results_of(graft(), blocks)).error
    assert error.df == 14
    assert error.sd is not None
    assert error.sd**2 * error.df == pytest.approx(101.70, abs=0.01)


def test_pilot_plant_effects_and_standard_error_are_box_hunter_and_hunters() -> None:
    design = two_level("TCK")
    twice = design_of(design.factors, [tuple(row.values.values()) for row in design.rows] * 2)
    results = results_of(twice, [list(itertools.chain(*PILOT_PLANT))])
    mains, pairs = main_effects(twice, results), interactions(twice, results)
    assert estimates(mains, pairs) == pytest.approx(PILOT_PLANT_EFFECTS)
    assert (mains.error.method, mains.error.df) == ("trials", 8)  # T × K makes repeats the only honest error term
    assert mains.error.sd is not None
    assert mains.error.sd**2 == pytest.approx(8)
    assert mains.effects[0].standard_error == pytest.approx(1.4, abs=0.05)


def test_conversion_effects_are_box_hunter_and_hunters() -> None:
    design = two_level("1234")
    results = results_of(design, [CONVERSION])
    mains = main_effects(design, results)
    assert estimates(mains, interactions(design, results)) == pytest.approx(CONVERSION_EFFECTS)
    assert mains.mean == pytest.approx(72.25)
    assert list(half_normal(mains)["label"]) == ["3", "4", "1", "2"]


def test_bicycle_effects_are_box_hunter_and_hunters_and_gear_stands_out_by_lenth() -> None:
    factors = [Factor(name, levels=(-1, 1)) for name in BICYCLE_EFFECTS]
    columns = generated(3, "AB", "AC", "BC", "ABC")
    design = design_of(factors, [tuple(int(value) for value in row) for row in columns])
    found = main_effects(design, results_of(design, [BICYCLE]))
    assert estimates(found) == pytest.approx(BICYCLE_EFFECTS)
    assert found.error.method == "lenth"
    assert [effect.label for effect in found.effects if effect.stands_out] == ["gear"]
    assert [effect.label for effect in found.effects if effect.is_hint] == ["dynamo"]


def test_penicillin_blocks_give_box_hunter_and_hunters_analysis_of_variance() -> None:
    design = design_of([Factor("process", levels=tuple(PENICILLIN))], [(process,) for process in PENICILLIN])
    found = main_effects(design, results_of(design, list(zip(*PENICILLIN.values(), strict=True))))
    assert found.error.sd is not None
    assert (found.error.sd**2 * found.error.df, found.error.df) == (pytest.approx(226), 12)
    assert found.tests[0].f * 3 * found.error.sd**2 == pytest.approx(70)
    assert (found.tests[0].f, found.tests[0].p) == pytest.approx((1.24, 0.34), abs=0.005)
    assert found.mean == pytest.approx(86)


def test_tensile_strength_has_lenths_margins() -> None:
    design = two_level("ABCD")
    results = np.array(TENSILE_STRENGTH)
    contrasts = [
        np.prod(design.coded[:, chosen], axis=1) @ results / 8 for n in range(1, 5) for chosen in itertools.combinations(range(4), n)
    ]
    margins = lenth(contrasts)
    assert margins is not None
    printed = (TENSILE_STRENGTH_PSE, TENSILE_STRENGTH_MARGIN, TENSILE_STRENGTH_SIMULTANEOUS_MARGIN)
    assert (margins.pse, margins.margin, margins.simultaneous_margin) == pytest.approx(printed, abs=5e-8)


def test_half_the_filtration_rate_runs_have_montgomerys_effects_and_aliases() -> None:
    full = two_level("ABCD")
    kept = [row.index for row in full.rows if np.prod(row.coded) == 1]
    design = design_of(full.factors, [tuple(full.rows[at].values.values()) for at in kept])
    results = results_of(design, [[FILTRATION[at] for at in kept]])
    found = main_effects(design, results)
    assert estimates(found) == pytest.approx({name: value for name, value in FILTRATION_HALF_EFFECTS.items() if len(name) == 1})
    assert found.aliases is not None
    assert found.aliases.resolution == 4
    assert found.aliases.confounded == (("A x B", "C x D"), ("A x C", "B x D"), ("A x D", "B x C"))
    three = design_of(full.factors[:3], [tuple(row.values.values())[:3] for row in design.rows])
    pairs = estimates(interactions(three, results))  # B × C alone is estimated by what is A × D in four factors
    assert (pairs["A × B"], pairs["A × C"], pairs["B × C"]) == pytest.approx([FILTRATION_HALF_EFFECTS[f"A × {other}"] for other in "BCD"])
