"""Worked examples from textbooks, retyped as results tables: outside oracles for effects, analyses of variance and Lenth's method."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import pandas as pd

from orchestrator.design.design import Design, Row
from orchestrator.design.factors import Factor, Value
from orchestrator.design.points import coded_value

FILTRATION = (45, 71, 48, 65, 68, 60, 80, 65, 43, 100, 45, 104, 75, 86, 70, 96)
"""Pilot plant filtration rate, 2^4 in Yates order (Montgomery, Design and Analysis of Experiments, example 6.2)."""
FILTRATION_EFFECTS = {
    "A": 21.625, "B": 3.125, "C": 9.875, "D": 14.625,
    "A × B": 0.125, "A × C": -18.125, "A × D": 16.625, "B × C": 2.375, "B × D": -0.375, "C × D": -1.125,
    "ABC": 1.875, "ABD": 4.125, "ACD": -1.625, "BCD": -2.625, "ABCD": 1.375,
}  # fmt: skip
FILTRATION_MARGIN, FILTRATION_SIMULTANEOUS_MARGIN = 6.748, 13.699
"""Lenth's margins for the fifteen effects, as given there."""

PLASMA_ETCH = ((550, 669, 633, 642, 1037, 749, 1075, 729), (604, 650, 601, 635, 1052, 868, 1063, 860))
"""Etch rate, 2^3 in Yates order, two replicates (Montgomery, example 6.1)."""
PLASMA_ETCH_EFFECTS = {"A": -101.625, "B": 7.375, "C": 306.125, "A × B": -24.875, "A × C": -153.625, "B × C": -2.125}

EDDY_CURRENT = (1.70, 4.57, 0.55, 3.39, 1.51, 4.59, 0.67, 4.29)
"""Eddy current probe sensitivity, 2^3 in Yates order (NIST/SEMATECH e-Handbook of Statistical Methods, case study)."""
EDDY_CURRENT_EFFECTS = {"X1": 3.1025, "X2": -0.8675, "X3": 0.2125, "X1 × X2": 0.1275, "X1 × X3": 0.2475, "X2 × X3": 0.2975}

VASCULAR_GRAFT = {
    "8500": (90.3, 89.2, 98.2, 93.9, 87.4, 97.9),
    "8700": (92.5, 89.5, 90.6, 94.7, 87.0, 95.8),
    "8900": (85.5, 90.8, 89.6, 86.2, 88.0, 93.4),
    "9100": (82.5, 89.5, 85.6, 87.4, 78.9, 90.7),
}
"""Yield by extrusion pressure (treatment) and batch of resin (block), randomised complete blocks (Montgomery, example 4.1)."""

HARDNESS = ((7, 3, 3, 4, 8, 3, 2, 9, 5, 4), (6, 3, 5, 3, 8, 2, 4, 9, 4, 5))
"""Rockwell hardness of ten specimens by two tips, paired (Montgomery, section 2.5)."""


def design_of(factors: Sequence[Factor], points: Iterable[Sequence[Value]], kind: str = "explicit") -> Design:
    """Return a design with these real values, run in standard order."""
    paths = [factor.path for factor in factors]
    rows = tuple(Row(i, tuple(map(coded_value, factors, point)), dict(zip(paths, point, strict=True))) for i, point in enumerate(points))
    return Design(kind, tuple(factors), rows, tuple(range(len(rows))))


def two_level(names: Sequence[str]) -> Design:
    """Return the full two-level factorial in Yates order."""
    factors = [Factor(name, levels=(-1, 1)) for name in names]
    return design_of(factors, [point[::-1] for point in itertools.product((-1, 1), repeat=len(names))], "full_factorial")


def results_of(design: Design, by_split: Sequence[Sequence[float | None]]) -> pd.DataFrame:
    """Return a results table from responses [splits][rows]; None is a failed trial."""
    lines = [
        {
            "key": f"{row.name}-s{split:02d}", "arm": row.name, "row": row.index, "split": split,
            "status": "failed" if value is None else "done", "cause": "diverged" if value is None else None,
            "test_accuracy": float("nan") if value is None else float(value),
        }
        for split, values in enumerate(by_split)
        for row, value in zip(design.rows, values, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(lines).astype({"row": "Int64"})
