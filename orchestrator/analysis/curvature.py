"""A test of curvature: centre points against the prediction of the corners; which factor bends the response it cannot tell."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from hadamard.orchestrator.analysis.blocks import fit_in_splits
from hadamard.orchestrator.analysis.inference import NO_ERROR, ErrorTerm, Uncertainty, scatter, uncertainties
from hadamard.orchestrator.analysis.observations import observed, setting_noise
from hadamard.orchestrator.design.columns import main_effect_columns
from hadamard.orchestrator.design.design import Design


@dataclass(frozen=True)
class Curvature(Uncertainty):
    """The mean at the corners less the mean at the centre: zero for a flat response, below zero for one with a hump in the middle."""

    estimate: float
    """In units of the response; on a log scale a logarithm of a ratio."""
    corners: int
    """How many rows with all factors at their ends have a finished trial."""
    centres: int
    """How many centre points have a finished trial."""
    error: ErrorTerm
    """`trials`: repeats of the same settings, splits as blocks; `residual`: what main effects and curvature leave where too few repeat."""


def curvature(design: Design, results: pd.DataFrame, response: str = "test_accuracy", log: bool = False) -> Curvature | None:
    """Test with one degree of freedom whether corners and centre points lie on a plane, splits as blocks (Montgomery, 8th ed., 6.8).

    The estimate is the sum of all factors' quadratic effects, sign changed: None of them can be told from the others, and opposite ones
    may cancel. Main effects are in the model, so that lost corners and middles rounded to whole numbers do not look like curvature.
    Arguments as for `main_effects`. Returns None where no centre point, or nothing to compare it with, has finished.
    """
    seen = observed(design, results, response, log)
    at_ends = np.all(np.abs(seen.coded) == 1, axis=1)
    inside = np.all(np.abs(seen.coded) < 1, axis=1)
    if not design.factors or not at_ends.any() or not inside.any():
        return None
    kept = at_ends | inside
    seen, at_ends = seen.only(kept), at_ends[kept]
    terms = main_effect_columns(design.factors, seen.coded)[1]
    fit, _ = fit_in_splits(np.column_stack([at_ends, np.ones(len(terms)), terms]), seen.splits, seen.response)
    contrast = np.eye(len(fit.beta))[0]
    if not fit.estimable(contrast):
        return None
    # the noise of repeats, which neither curvature nor interactions can swell, or what the model leaves for want of it
    error = scatter("trials", setting_noise(seen)) or scatter("residual", fit) or NO_ERROR
    estimate = float(contrast @ fit.beta)
    (known,) = uncertainties([estimate], [fit.unit(contrast)], error)
    corners, centres = (len(np.unique(seen.rows[which])) for which in (at_ends, ~at_ends))
    return replace(Curvature(estimate, corners, centres, error), **vars(known))
