"""Worked examples from textbooks, retyped as results tables: outside oracles for effects, analyses of variance and Lenth's method."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import pandas as pd

from hadamard.orchestrator.design.candidates import coded_rows
from hadamard.orchestrator.design.design import Design, Row
from hadamard.orchestrator.design.factors import Factor, Value

FILTRATION = (45, 71, 48, 65, 68, 60, 80, 65, 43, 100, 45, 104, 75, 86, 70, 96)
"""Pilot plant filtration rate, 2^4 in Yates order (Montgomery, Design and Analysis of Experiments, example 6.2)."""
FILTRATION_EFFECTS = {
    "A": 21.625, "B": 3.125, "C": 9.875, "D": 14.625,
    "A × B": 0.125, "A × C": -18.125, "A × D": 16.625, "B × C": 2.375, "B × D": -0.375, "C × D": -1.125,
    "ABC": 1.875, "ABD": 4.125, "ACD": -1.625, "BCD": -2.625, "ABCD": 1.375,
}  # fmt: skip
FILTRATION_MARGIN, FILTRATION_SIMULTANEOUS_MARGIN = 6.748, 13.699
"""Lenth's margins for the fifteen effects, as given there."""

FILTRATION_CENTRE = (73, 75, 66, 69)
"""Four further runs of the filtration rate in the middle of all factors (Montgomery, example 6.7)."""
FILTRATION_HALF_EFFECTS = {"A": 19.00, "B": 1.50, "C": 14.00, "D": 16.50, "A × B": -1.00, "A × C": -18.50, "A × D": 19.00}
"""Of the half fraction with D = ABC of these runs; each contains an alias (Montgomery, example 8.1)."""

CHEMICAL_YIELD, CHEMICAL_YIELD_CENTRE = (39.3, 40.9, 40.0, 41.5), (40.3, 40.5, 40.7, 40.2, 40.6)
"""Yield of a process by reaction time and temperature, 2^2 in Yates order, then five centre points (Montgomery and Runger, Applied
Statistics and Probability for Engineers, example S14-2): sums of squares 0.0027 of curvature and 0.1720 of error, F 0.063, p 0.81."""

PLASMA_ETCH = ((550, 669, 633, 642, 1037, 749, 1075, 729), (604, 650, 601, 635, 1052, 868, 1063, 860))
"""Etch rate, 2^3 in Yates order, two replicates (Montgomery, example 6.1)."""
PLASMA_ETCH_EFFECTS = {"A": -101.625, "B": 7.375, "C": 306.125, "A × B": -24.875, "A × C": -153.625, "B × C": -2.125}

PILOT_PLANT = ((59, 74, 50, 69, 50, 81, 46, 79), (61, 70, 58, 67, 54, 85, 44, 81))
"""Yield of a pilot plant by temperature, concentration and catalyst, 2^3 in Yates order, two runs each (Box, Hunter and Hunter,
Statistics for Experimenters, 2nd ed., section 5.5)."""
PILOT_PLANT_EFFECTS = {"T": 23.0, "C": -5.0, "K": 1.5, "T × C": 1.5, "T × K": 10.0, "C × K": 0.0}

CONVERSION = (71, 61, 90, 82, 68, 61, 87, 80, 61, 50, 89, 83, 59, 51, 85, 78)
"""Conversion by catalyst charge, temperature, pressure and concentration, 2^4 in Yates order (the same, section 5.13)."""
CONVERSION_EFFECTS = {
    "1": -8, "2": 24, "3": -2.25, "4": -5.5,
    "1 × 2": 1, "1 × 3": 0.75, "1 × 4": 0, "2 × 3": -1.25, "2 × 4": 4.5, "3 × 4": -0.25,
}  # fmt: skip

BICYCLE = (69, 52, 60, 83, 71, 50, 59, 88)
"""Seconds up a hill, 2^(7-4) with D = AB, E = AC, F = BC, G = ABC (the same, section 6.5)."""
BICYCLE_EFFECTS = {"seat": 3.5, "dynamo": 12.0, "handlebars": 1.0, "gear": 22.5, "raincoat": 0.5, "breakfast": 1.0, "tyres": 2.5}

PENICILLIN = {"A": (89, 84, 81, 87, 79), "B": (88, 77, 87, 92, 81), "C": (97, 92, 87, 89, 80), "D": (94, 79, 85, 84, 88)}
"""Yield by process (treatment) and blend (block), randomised complete blocks (the same, section 4.2)."""

TENSILE_STRENGTH = (43.7, 40.2, 42.4, 44.7, 42.4, 45.9, 42.2, 40.6, 42.4, 45.5, 43.6, 40.6, 44.0, 40.2, 42.5, 46.5)
"""Strength of welds by nine factors in 16 runs in Yates order of four of them (Taguchi and Wu 1980, in Box and Meyer, Technometrics 28,
1986): the example by which Lenth (Technometrics 31, 1989) introduced his method."""
TENSILE_STRENGTH_PSE, TENSILE_STRENGTH_MARGIN, TENSILE_STRENGTH_SIMULTANEOUS_MARGIN = 0.2250000, 0.5783809, 1.1741965
"""As the documentation of the R package BsMD prints them for these data."""

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
    listed = list(points)
    rows = (
        Row(index, tuple(coded), dict(zip(paths, point, strict=True)))
        for index, (point, coded) in enumerate(zip(listed, coded_rows(factors, [tuple(point) for point in listed]).tolist(), strict=True))
    )
    return Design(kind, tuple(factors), tuple(rows), tuple(range(len(listed))))


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
