"""Curvature by centre points: textbooks, splits as blocks, and what is not curvature."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hadamard.orchestrator.analysis.curvature import curvature
from hadamard.orchestrator.design.design import Design, build
from hadamard.orchestrator.design.factors import Factor
from tests.support.designs import ranges, settings_of
from tests.support.published_designs import (
    CHEMICAL_YIELD,
    CHEMICAL_YIELD_CENTRE,
    FILTRATION,
    FILTRATION_CENTRE,
    design_of,
    results_of,
    two_level,
)


def with_centre(names: str, centres: int) -> Design:
    """Return the full factorial in Yates order, then centre points."""
    factors = [Factor(name, low=-1, high=1) for name in names]
    corners = [point[::-1] for point in itertools.product((-1.0, 1.0), repeat=len(names))]
    return design_of(factors, [*corners, *[(0.0,) * len(names)] * centres])


def test_chemical_yield_has_montgomerys_curvature() -> None:
    found = curvature(with_centre("AB", 5), results_of(with_centre("AB", 5), [[*CHEMICAL_YIELD, *CHEMICAL_YIELD_CENTRE]]))
    assert found is not None
    assert (found.corners, found.centres) == (4, 5)
    assert found.estimate == pytest.approx(40.425 - 40.46)
    assert found.error.sd is not None
    assert (found.error.method, found.error.df) == ("trials", 4)
    assert found.error.sd**2 == pytest.approx(0.0430, abs=5e-5)
    assert found.standard_error is not None
    assert (found.estimate / found.standard_error) ** 2 == pytest.approx(0.063, abs=5e-4)
    assert found.p == pytest.approx(0.81, abs=5e-3)
    assert found.estimate**2 * 20 / 9 == pytest.approx(0.0027, abs=5e-5)


def test_filtration_rate_has_montgomerys_curvature() -> None:
    design = with_centre("ABCD", 4)
    found = curvature(design, results_of(design, [[*FILTRATION, *FILTRATION_CENTRE]]))
    assert found is not None
    assert found.estimate == pytest.approx(70.06 - 70.75, abs=5e-3)
    assert found.error.sd is not None
    assert (found.error.sd**2, found.error.df) == (pytest.approx(16.25), 3)
    assert found.estimate**2 * 16 * 4 / 20 == pytest.approx(1.51, abs=5e-3)


def test_splits_are_blocks() -> None:
    """Splits ten times as far apart as the hump is high must not hide it; lost trials must not make one."""
    rng = np.random.default_rng(1)
    design = build(settings_of("fractional_factorial", resolution=4, centre_points=3), ranges(5), 0)
    middle = np.all(design.coded == 0, axis=1)
    responses = 3 * middle + 5 * design.coded[:, 0] + rng.normal(0, 30, (6, 1)) + rng.normal(0, 1, (6, len(middle)))
    found = curvature(design, results_of(design, np.where(rng.random(responses.shape) < 0.2, None, responses).tolist()))
    assert found is not None
    assert found.interval is not None
    assert found.interval[0] < -3 < found.interval[1] < 0
    assert found.simultaneous == found.interval  # one question, so nothing to adjust for


def test_a_lost_corner_does_not_look_like_curvature() -> None:
    design = with_centre("ABC", 4)
    plane: list[float | None] = [float(v) for v in 10 * design.coded[:, 0] + 3 * design.coded[:, 2]]
    found = curvature(design, results_of(design, [[None, *plane[1:]]]))
    assert found is not None
    assert found.estimate == pytest.approx(0, abs=1e-9)


def test_a_middle_rounded_to_a_whole_number_does_not_look_like_curvature() -> None:
    design = build(settings_of("full_factorial", centre_points=2), (*ranges(2), Factor("layers", low=2, high=5, integer=True)), 0)
    assert design.coded[-1, 2] != 0
    found = curvature(design, results_of(design, [(7 * design.coded[:, 2]).tolist()] * 3))
    assert found is not None
    assert found.estimate == pytest.approx(0, abs=1e-9)


def test_axial_points_do_not_count() -> None:
    design = build(settings_of("full_factorial", centre_points=3, axial_points=True), ranges(2), 0)
    bent = (design.coded[:, 0] ** 2).tolist()
    found = curvature(design, results_of(design, [bent, [1 + one for one in bent]]))
    assert found is not None
    assert (found.estimate, found.corners, found.centres) == (pytest.approx(1.0), 4, 3)


def test_the_error_does_not_contain_interactions() -> None:
    rng = np.random.default_rng(2)
    design = with_centre("ABC", 3)
    crossed = 50 * design.coded[:, 0] * design.coded[:, 1]
    found = curvature(design, results_of(design, (crossed + rng.normal(0, 1, (4, len(crossed)))).tolist()))
    assert found is not None
    assert found.error.sd == pytest.approx(1, rel=0.5)


def test_one_centre_point_on_one_split_is_measured_with_what_the_model_leaves() -> None:
    design = with_centre("ABC", 1)
    results = results_of(design, [np.random.default_rng(3).normal(0, 1, 9).tolist()])
    found = curvature(design, results)
    assert found is not None
    assert (found.error.method, found.error.df) == ("residual", 4)
    assert found.interval is not None


def test_without_centre_points_or_anything_beside_them_there_is_no_curvature() -> None:
    plain = two_level("AB")
    assert curvature(plain, results_of(plain, [range(4)] * 3)) is None
    design = with_centre("AB", 2)
    assert curvature(design, results_of(design, [[None] * 4 + [1, 2]])) is None
    assert curvature(design, results_of(design, [[1, 2, 3, 4, None, None]])) is None
    assert curvature(design, results_of(design, [[None] * 6])) is None


def test_too_few_trials_give_an_estimate_without_interval() -> None:
    design = with_centre("AB", 1)
    found = curvature(design, results_of(design, [[1, 2, 3, 4, 0]]))
    assert found is not None
    assert found.estimate == pytest.approx(2.5)
    assert (found.interval, found.p, found.error.method) == (None, None, "none")
