"""The rows of each kind of design, in real values and standard order.

Owns the match between kinds of design and factors, with a reason for every refusal. Does not own the standard matrices (generators).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import assert_never

import numpy as np

from hadamard.orchestrator.design import generators
from hadamard.orchestrator.design.columns import Matrix, interaction_columns, main_effect_columns
from hadamard.orchestrator.design.factors import Factor, Value, levels_text
from hadamard.orchestrator.design.kinds import (
    Centred,
    DefinitiveScreening,
    DesignError,
    DesignSettings,
    DOptimal,
    Explicit,
    Foldable,
    FractionalFactorial,
    FullFactorial,
    LatinHypercube,
    OneAtATime,
    PlackettBurman,
    Sobol,
)

ANY_LEVELS = "full_factorial, latin_hypercube, sobol, d_optimal, one_at_a_time or explicit"
MOST_ROWS = 10_000
_MOST_CANDIDATES = 4096

Point = tuple[Value, ...]


def coded_value(factor: Factor, value: Value) -> float:
    """Return where a level, or a value of a range, lies: see `Row.coded`. The inverse of `Factor.at`, but for whole numbers."""
    if not factor.is_range:
        index = factor.levels.index(value)
        return float(index) if factor.is_unordered else 2.0 * index / (len(factor.levels) - 1) - 1
    low, high = _ends(factor)
    number = float(value)
    if factor.scale == "log":
        low, high, number = math.log(low), math.log(high), math.log(number)
    # Eight decimals: real values carry twelve digits, and ends and middles must be exactly -1, 0 and 1.
    return round(min(max(2 * (number - low) / (high - low) - 1, -1.0), 1.0), 8) + 0.0


def check_factors(settings: DesignSettings, factors: tuple[Factor, ...]) -> None:
    """Raise a DesignError unless every factor has levels that this kind of design takes."""
    if not factors:
        raise DesignError("the study names no factors, so there is nothing to design. Add at least one under `factors`.")
    for factor in factors:
        if len(factor.choices) < 2 or len(set(factor.choices)) < len(factor.choices):
            raise DesignError(f"{factor.path} has a repeated level or only one: {levels_text(factor)}. Give it two or more different ones.")
        if isinstance(settings, FractionalFactorial | PlackettBurman) and len(factor.choices) != 2:
            raise DesignError(
                f"{settings.kind} takes factors of two levels, but {factor.path} has {len(factor.choices)}: {levels_text(factor)}. "
                f"Keep two of them, or choose {ANY_LEVELS}{', or definitive_screening' if _three_levels(factor) else ''}."
            )


def points(settings: DesignSettings, factors: tuple[Factor, ...], seed: int) -> list[Point]:
    """Return the real values of every row in standard order."""
    points = _base(settings, factors, seed)
    base = len(points)
    if isinstance(settings, Centred):
        points += _centre_points(settings, factors)
    if isinstance(settings, Foldable) and settings.fold_over:
        points += _mirrored(settings, factors, points[:base])
    if isinstance(settings, Centred) and settings.axial_points:
        points += _axial_points(factors, points)
    if len(points) > MOST_ROWS:
        raise DesignError(_too_many(settings.kind, len(points)))
    return points


def _base(settings: DesignSettings, factors: tuple[Factor, ...], seed: int) -> list[Point]:
    match settings:
        case FullFactorial():
            return _full_factorial(factors)
        case FractionalFactorial():
            return _at(factors, _fractional_factorial(settings, factors))
        case PlackettBurman():
            return _at(factors, generators.plackett_burman(len(factors)))
        case DefinitiveScreening():
            return _at(factors, _definitive_screening(factors))
        case LatinHypercube():
            return _spread(factors, generators.latin_hypercube(settings.rows, len(factors), seed))
        case Sobol():
            return _spread(factors, generators.sobol(settings.rows, len(factors), seed))
        case DOptimal():
            return _d_optimal(settings, factors, seed)
        case OneAtATime():
            return _one_at_a_time(factors)
        case Explicit():
            return [_explicit(i, row, factors) for i, row in enumerate(settings.rows)]
        case _:
            assert_never(settings)


def _at(factors: Sequence[Factor], coded: Matrix) -> list[Point]:
    return [tuple(factor.at(float(c)) for factor, c in zip(factors, row, strict=True)) for row in coded]


def _full_factorial(factors: Sequence[Factor]) -> list[Point]:
    choices = [factor.choices for factor in factors]
    rows = math.prod(map(len, choices))
    if rows > MOST_ROWS:
        raise DesignError(_too_many("full_factorial", rows))
    indices = generators.full_factorial([len(levels) for levels in choices])
    return [tuple(levels[i] for levels, i in zip(choices, row, strict=True)) for row in indices]


def _fractional_factorial(settings: FractionalFactorial, factors: Sequence[Factor]) -> Matrix:
    try:
        return generators.fractional_factorial(len(factors), settings.resolution)
    except ValueError as error:
        raise DesignError(
            f"no fractional_factorial of resolution {settings.resolution} was found for {len(factors)} factors. "
            "Ask for a lower resolution, take out factors, or choose plackett_burman or d_optimal."
        ) from error


def _definitive_screening(factors: Sequence[Factor]) -> Matrix:
    three = [i for i, factor in enumerate(factors) if _three_levels(factor)]
    two = [i for i, factor in enumerate(factors) if len(factor.levels) == 2]
    for i, factor in enumerate(factors):
        if i not in three and i not in two:
            raise DesignError(
                f"definitive_screening takes numeric factors that are a range with a middle or list three levels, and any that list two; "
                f"{factor.path} is neither: {levels_text(factor)}. List two or three of its levels, or choose {ANY_LEVELS}."
            )
    if len(three) < 3:
        raise DesignError(
            f"definitive_screening needs at least three numeric factors that are a range or list three levels, and here are {len(three)}"
            f"{': ' + ', '.join(factors[i].path for i in three) if three else ''}. Add a third level, or choose {ANY_LEVELS}."
        )
    matrix = generators.definitive_screening(len(three), len(two))
    return matrix[:, np.argsort(three + two)]


def _spread(factors: Sequence[Factor], unit: Matrix) -> list[Point]:
    return [tuple(_at_unit(factor, float(u)) for factor, u in zip(factors, row, strict=True)) for row in unit]


def _at_unit(factor: Factor, unit: float) -> Value:
    """Return the value at a place in [0, 1), where levels and whole numbers on a linear scale get equal shares."""
    if not factor.is_range:
        return factor.levels[int(unit * len(factor.levels))]
    low, high = _ends(factor)
    if factor.integer and factor.scale == "linear":
        return round(low) + int(unit * (round(high) - round(low) + 1))
    return factor.at(2 * unit - 1)


def _d_optimal(settings: DOptimal, factors: Sequence[Factor], seed: int) -> list[Point]:
    candidates = combinations([_candidate_levels(settings, factor) for factor in factors], seed)
    model = _model_matrix(settings, factors, np.array([list(map(coded_value, factors, point)) for point in candidates]))
    needed = model.shape[1]
    if settings.rows < needed:
        raise DesignError(
            f"d_optimal with {settings.rows} rows cannot estimate the `{settings.model}` model of these factors, which has {needed} "
            f"coefficients. Set rows to {needed} or more (a few more give residual degrees of freedom), or choose a smaller model."
        )
    chosen = generators.d_optimal(model, settings.rows, seed)
    if np.linalg.matrix_rank(model[chosen]) < needed:
        raise DesignError(
            f"d_optimal found no {settings.rows} rows that can estimate all {needed} coefficients of the `{settings.model}` model. "
            "Give it more rows or choose a smaller model."
        )
    return [candidates[i] for i in chosen]


def combinations(levels: Sequence[Point], seed: int) -> list[Point]:
    """Return all combinations of these levels of each factor; of more than 4,096, as many drawn at random."""
    counts = [len(choices) for choices in levels]
    if math.prod(counts) > _MOST_CANDIDATES:
        grid = np.random.default_rng([seed, 2]).integers(0, counts, size=(_MOST_CANDIDATES, len(counts)))
    else:
        grid = generators.full_factorial(counts)
    return [tuple(choices[i] for choices, i in zip(levels, row, strict=True)) for row in grid]


def _candidate_levels(settings: DOptimal, factor: Factor) -> Point:
    if settings.model == "quadratic" and factor.is_range and len(factor.choices) == 2:
        return tuple(dict.fromkeys((factor.at(-1), factor.at(0), factor.at(1))))
    return factor.choices


def _model_matrix(settings: DOptimal, factors: Sequence[Factor], coded: Matrix) -> Matrix:
    """Return the columns of the model to estimate, intercept first [candidates, columns]."""
    columns = [np.ones((len(coded), 1)), main_effect_columns(factors, coded)[1]]
    if settings.model != "main":
        columns.append(interaction_columns(factors, coded)[1])
    if settings.model == "quadratic":
        curved = [i for i, factor in enumerate(factors) if factor.is_numeric and len(_candidate_levels(settings, factor)) > 2]
        columns.append(coded[:, curved] ** 2)
    return np.hstack(columns)


def _one_at_a_time(factors: Sequence[Factor]) -> list[Point]:
    first = tuple(factor.choices[0] for factor in factors)
    return [first] + [(*first[:i], level, *first[i + 1 :]) for i, factor in enumerate(factors) for level in factor.choices[1:]]


def _explicit(index: int, row: dict[str, Value], factors: Sequence[Factor]) -> Point:
    paths = [factor.path for factor in factors]
    if missing := [path for path in paths if path not in row]:
        others = [f"{path}{_meant(path, missing)}" for path in row if path not in paths]
        named = f", though it names {', '.join(others)}" if others else ""
        raise DesignError(
            f"row {index} of the explicit design says nothing of {', '.join(missing)}{named}. "
            f"Every row gives these factors a value: {', '.join(paths)}."
        )
    return tuple(_checked(index, factor, row[factor.path]) for factor in factors)


def beside(settings: DesignSettings, factors: Sequence[Factor], row: int) -> dict[str, Value]:
    """Return what a row of an explicit design sets beside its factors; nothing for other kinds."""
    if not isinstance(settings, Explicit):
        return {}
    paths = {factor.path for factor in factors}
    return {path: value for path, value in settings.rows[row].items() if path not in paths}


def _meant(path: str, paths: Sequence[str]) -> str:
    close = difflib.get_close_matches(path, paths, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _checked(index: int, factor: Factor, value: Value) -> Value:
    """Return the factor's own value that equals this one."""
    if factor.is_range and isinstance(value, int | float) and not isinstance(value, bool):
        low, high = _ends(factor)
        if low <= value <= high and (not factor.integer or value == round(value)):
            return round(value) if factor.integer else float(value)
    for level in factor.levels:
        if level == value and isinstance(level, bool) == isinstance(value, bool):
            return level
    raise DesignError(
        f"row {index} of the explicit design gives {factor.path} the value {value!r}, which the factor does not have. "
        f"It may be: {levels_text(factor)}."
    )


def _centre_points(settings: Centred, factors: Sequence[Factor]) -> list[Point]:
    if settings.centre_points:
        _check_middles(factors, "centre_points", "0")
    return [tuple(factor.at(0) for factor in factors)] * settings.centre_points


def _axial_points(factors: Sequence[Factor], points: Sequence[Point]) -> list[Point]:
    """Return each factor's low and high end with all others in the middle, but for rows that the design has already."""
    _check_middles(factors, "axial_points", "false")
    middle = tuple(factor.at(0) for factor in factors)
    axial = [(*middle[:i], factor.at(end), *middle[i + 1 :]) for i, factor in enumerate(factors) for end in (-1, 1)]
    new = [point for point in axial if point not in points]
    if not new:
        raise DesignError(
            f"axial_points would add nothing: this design has all {len(axial)} of them already. "
            "Set axial_points: false; for more precision add splits."
        )
    return new


def _check_middles(factors: Sequence[Factor], setting: str, off: str) -> None:
    without = [factor.path for factor in factors if not _has_middle(factor)]
    if without:
        raise DesignError(
            f"{setting} need every factor to have a middle, which {', '.join(without)} lacks. "
            f"Make it a range {{low, high}} with room between, list an odd number of numeric levels, or set {setting}: {off}."
        )


def _mirrored(settings: Foldable, factors: Sequence[Factor], points: Sequence[Point]) -> list[Point]:
    other = [{low: high, high: low} for low, high in (factor.choices for factor in factors)]
    mirrored = [tuple(swap[value] for swap, value in zip(other, point, strict=True)) for point in points]
    if set(mirrored) == set(points):
        raise DesignError(
            f"fold_over would run the same {len(points)} rows of this design a second time and separate nothing. "
            "Set fold_over: false; for more precision add splits, for clear interactions ask for a higher resolution."
        )
    return mirrored


def _three_levels(factor: Factor) -> bool:
    """Whether a definitive screening design can give the factor a low, middle and high level."""
    return _has_middle(factor) and (factor.is_range or len(factor.levels) == 3)


def _has_middle(factor: Factor) -> bool:
    if factor.is_range:
        return factor.at(-1) != factor.at(0) != factor.at(1)
    return factor.is_numeric and len(factor.levels) % 2 == 1


def _ends(factor: Factor) -> tuple[float, float]:
    if factor.low is None or factor.high is None:
        raise AssertionError(f"{factor.path} is not a range")
    return factor.low, factor.high


def _too_many(kind: str, rows: int) -> str:
    return (
        f"this {kind} has {rows:,} rows, and more than {MOST_ROWS:,} are refused. Take out factors or levels, lower the resolution, "
        "or choose plackett_burman, definitive_screening, d_optimal or latin_hypercube."
    )
