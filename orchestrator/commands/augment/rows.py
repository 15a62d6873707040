"""The search for rows to add to those a study has left, so that it can estimate again what it was designed for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hadamard.orchestrator.design.aliases import aliases
from hadamard.orchestrator.design.base import Point
from hadamard.orchestrator.design.candidates import coded_rows, combinations
from hadamard.orchestrator.design.columns import Matrix, interaction_columns, main_effect_columns
from hadamard.orchestrator.design.design import Design
from hadamard.orchestrator.design.factors import Factor, Value

_RIDGE = 1e-6
"""Information on what the rows do not see, so that a row which sees it stands out by its inverse."""


def lost_terms(factors: Sequence[Factor], designed: Matrix, left: Matrix) -> list[str]:
    """Return the main effects, then the two-factor interactions, that can be estimated from the designed rows and not from those left.

    Args:
        factors: whose paths name the terms.
        designed: coded [rows, factors].
        left: coded [rows, factors].
    """
    then = _estimable(factors, left)
    return [term for term in _estimable(factors, designed) if term not in then]


def rows_for(design: Design, left: Design) -> list[dict[str, Value]]:
    """Return the values of as few rows as give back what was lost, one after the other the one that adds most; none if none do.

    Candidates are all combinations of the factors' levels, and middles of ranges, except the rows that are lost.
    """
    candidates = _candidates(design, left)
    if not len(candidates):
        return []
    coded = coded_rows(design.factors, candidates)
    pool, have = _model(design, coded), left.coded
    chosen: list[int] = []
    while lost_terms(design.factors, design.coded, have):
        model = _model(design, have)
        gains = np.sum(pool * np.linalg.solve(model.T @ model + _RIDGE * np.eye(pool.shape[1]), pool.T).T, axis=1)
        best = int(np.argmax(gains))
        if gains[best] < 1e-3 / _RIDGE:  # what is missing, no candidate sees
            return []
        chosen.append(best)
        have = np.vstack([have, coded[best]])
    return [{factor.path: value for factor, value in zip(design.factors, candidates[at], strict=True)} for at in chosen]


def _estimable(factors: Sequence[Factor], coded: Matrix) -> list[str]:
    structure = aliases(factors, coded)
    return [*structure.main_effects, *structure.estimable]


def _candidates(design: Design, left: Design) -> list[Point]:
    lost = {tuple(row.values.values()) for row in design.rows} - {tuple(row.values.values()) for row in left.rows}
    levels = [tuple(dict.fromkeys((*factor.choices, factor.at(0)) if factor.is_range else factor.choices)) for factor in design.factors]
    return [point for point in combinations(levels, 0) if point not in lost]


def _model(design: Design, coded: Matrix) -> Matrix:
    """Return the columns of the mean, the main effects, and those interactions that the design could estimate."""
    could = set(aliases(design.factors, design.coded).estimable)
    pairs, crossed = interaction_columns(design.factors, coded)
    kept = [at for at, pair in enumerate(pairs) if pair.label in could]
    return np.column_stack([np.ones(len(coded)), main_effect_columns(design.factors, coded)[1], crossed[:, kept]])
