"""Designs and their aliases against published tables, brute force and properties that any such design has."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from typing import Any, get_args

import numpy as np
import pydoe
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from orchestrator.design import generators
from orchestrator.design.aliases import aliases
from orchestrator.design.columns import interaction_columns, main_effect_columns
from orchestrator.design.design import build
from orchestrator.design.factors import Factor, Value, levels_text
from orchestrator.design.kinds import DesignError, DesignSettings, Explicit, FractionalFactorial
from orchestrator.design.points import coded_value
from tests.designs import asked

Matrix = NDArray[np.float64]

QUBITS = Factor("head.qubits", levels=(6, 10))
LR = Factor("training.lr", low=3e-3, high=3e-2, scale="log")
MERGE = Factor("head.merge", levels=("mean", "concatenate", "blocks"))
SHARED = Factor("head.share_blocks", levels=(False, True))
LAYERS = Factor("head.layers", low=1, high=5, integer=True)
BATCH = Factor("training.batch", levels=(8, 16, 32))
ON_A_GRID = (QUBITS, MERGE, SHARED, LAYERS, BATCH)
MIXED = (QUBITS, LR, MERGE, SHARED, LAYERS, BATCH)


def two_level(count: int) -> tuple[Factor, ...]:
    return tuple(Factor(chr(ord("A") + i), levels=(-1, 1)) for i in range(count))


def wide(count: int) -> tuple[Factor, ...]:
    return tuple(Factor(f"f{i}", levels=(0, 1)) for i in range(count))


def ranges(count: int) -> tuple[Factor, ...]:
    return tuple(Factor(chr(ord("A") + i), low=-1.0, high=1.0) for i in range(count))


def generated(base: int, *words: str) -> Matrix:
    """Return the textbook fraction whose further columns are the given products of the base factors A, B, C, ..."""
    rows = np.array(list(itertools.product((-1.0, 1.0), repeat=base)))[:, ::-1]
    return np.column_stack([rows, *(np.prod(rows[:, ["ABCDEFG".index(letter) for letter in word]], axis=1) for word in words)])


def words(matrix: Matrix) -> Counter[int]:
    """Return how many sets of each size have a constant product, by trying all of them."""
    sets = itertools.chain.from_iterable(itertools.combinations(range(matrix.shape[1]), n) for n in range(1, matrix.shape[1] + 1))
    return Counter(len(chosen) for chosen in sets if len(set(np.prod(matrix[:, chosen], axis=1))) == 1)


# Standard matrices


@pytest.mark.parametrize("factors", range(1, 64))
def test_plackett_burman_is_balanced_and_orthogonal(factors: int) -> None:
    matrix = generators.plackett_burman(factors)
    rows = len(matrix)
    assert set(np.unique(matrix)) == {-1, 1}
    assert rows % 4 == 0
    assert rows > factors
    model = np.column_stack([np.ones(rows), matrix])
    assert np.array_equal(model.T @ model, rows * np.eye(factors + 1))


def test_plackett_burman_sizes() -> None:
    """The paper of 1946 has every multiple of 4 to 100 but 92; those that pyDOE lacks are replaced by the next larger."""
    sizes = {factors: len(generators.plackett_burman(factors)) for factors in (3, 7, 11, 15, 19, 23, 24, 27, 31, 32, 35, 39, 43, 47, 48)}
    assert sizes == {3: 4, 7: 8, 11: 12, 15: 16, 19: 20, 23: 24, 24: 32, 27: 32, 31: 32, 32: 40, 35: 40, 39: 40, 43: 48, 47: 48, 48: 64}


def test_plackett_burman_of_12_rows_is_the_published_one() -> None:
    """First row + + - + + + - - - + - (Plackett & Burman 1946), shifted ten times, and a row of -; up to reversal and sign."""
    first = np.array([1, 1, -1, 1, 1, 1, -1, -1, -1, 1, -1])
    published = np.vstack([*(np.roll(first, shift) for shift in range(11)), -np.ones(11)])
    assert {tuple(row) for row in -published[:, ::-1]} == {tuple(row) for row in generators.plackett_burman(11)}


PUBLISHED_SIZES = {  # NIST/SEMATECH e-Handbook, table 5.3.3.4.7
    (3, 3): 4,
    (4, 4): 8,
    (5, 3): 8,
    (5, 5): 16,
    (6, 3): 8,
    (6, 4): 16,
    (6, 6): 32,
    (7, 3): 8,
    (7, 4): 16,
    (7, 7): 64,
    (8, 4): 16,
    (8, 5): 64,
    (9, 3): 16,
    (9, 4): 32,
    (9, 6): 128,
    (10, 5): 128,
    (11, 4): 32,
    (11, 5): 128,
    (15, 3): 16,
}


@pytest.mark.parametrize(("factors", "resolution"), PUBLISHED_SIZES)
def test_fractional_factorial_has_the_published_number_of_rows(factors: int, resolution: int) -> None:
    assert len(generators.fractional_factorial(factors, resolution)) == PUBLISHED_SIZES[factors, resolution]


@settings(deadline=None, max_examples=30)
@given(factors=st.integers(1, 9), resolution=st.integers(3, 8))
def test_fractional_factorial_has_the_resolution_asked_for(factors: int, resolution: int) -> None:
    matrix = generators.fractional_factorial(factors, resolution)
    assert np.array_equal(matrix.T @ matrix, len(matrix) * np.eye(factors))
    assert not matrix.sum(axis=0).any()
    found = words(matrix)
    assert min(found, default=99) >= resolution
    assert aliases(two_level(factors), matrix).resolution == min(found, default=None)


def test_saturated_fraction_has_the_published_words() -> None:
    """The 2^(7-4) of resolution III is unique: 7 words of length three, 7 of four and 1 of seven (Montgomery, chapter 8)."""
    assert words(generators.fractional_factorial(7, 3)) == {3: 7, 4: 7, 7: 1}


@pytest.mark.parametrize("three", range(3, 13))
@pytest.mark.parametrize("two", range(4))
def test_definitive_screening_keeps_main_effects_clear_of_second_order(three: int, two: int) -> None:
    factors = three + two
    matrix = generators.definitive_screening(three, two)
    assert set(np.unique(matrix[:, :three])) == {-1, 0, 1}
    assert set(np.unique(matrix[:, three:])) <= {-1, 1}
    second = np.column_stack([matrix[:, i] * matrix[:, j] for i in range(factors) for j in range(i, factors)])
    assert not (matrix.T @ second).any()
    assert np.linalg.matrix_rank(np.column_stack([np.ones(len(matrix)), matrix])) == 1 + factors
    gram = matrix.T @ matrix
    assert two or np.array_equal(gram, np.diag(np.diag(gram)))
    if two == 0 and three in (4, 6, 8, 10, 12):
        assert len(matrix) == 2 * three + 1


@pytest.mark.parametrize("rows", [6, 7, 8, 10])
def test_d_optimal_finds_the_best_of_all_designs(rows: int) -> None:
    """Brute force over every multiset of the 3 x 3 grid, for the full quadratic model."""
    x, y = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=2))).T
    candidates = np.column_stack([np.ones(9), x, y, x * y, x**2, y**2])
    every = np.array(list(itertools.combinations_with_replacement(range(9), rows)))
    best = np.linalg.det(np.swapaxes(candidates[every], 1, 2) @ candidates[every]).max()
    chosen = candidates[generators.d_optimal(candidates, rows, seed=0)]
    assert np.linalg.det(chosen.T @ chosen) == pytest.approx(best, rel=1e-9)


def test_d_optimal_is_no_worse_than_pydoe() -> None:
    grid = np.array(list(itertools.product((-1.0, 1.0), repeat=6)))
    terms = np.column_stack([grid, *(grid[:, i] * grid[:, j] for i, j in itertools.combinations(range(6), 2))])
    theirs, _ = pydoe.optimal_design(terms, 26, 1, "D", "modified_fedorov", alpha=1e-3)
    model = np.column_stack([np.ones(len(grid)), terms])
    ours = model[generators.d_optimal(model, 26, seed=0)]
    peer = np.column_stack([np.ones(26), theirs])
    assert np.linalg.slogdet(ours.T @ ours)[1] >= np.linalg.slogdet(peer.T @ peer)[1] - 1e-9


@settings(deadline=None, max_examples=12)
@given(rows=st.integers(2, 30), factors=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_latin_hypercube_has_one_point_in_every_slice(rows: int, factors: int, seed: int) -> None:
    points = generators.latin_hypercube(rows, factors, seed)
    for axis in range(factors):
        assert sorted(np.floor(points[:, axis] * rows)) == list(range(rows))


# Designs over factors

EVERY_KIND: list[DesignSettings] = [
    asked("full_factorial"),
    asked("latin_hypercube", rows=18),
    asked("sobol", rows=16),
    asked("d_optimal", rows=14),
    asked("d_optimal", rows=40, model="quadratic"),
    asked("one_at_a_time"),
]
SCREENING: list[DesignSettings] = [
    asked("plackett_burman"),
    asked("fractional_factorial", resolution=3),
    asked("plackett_burman", fold_over=True),
]


@pytest.mark.parametrize("kind", EVERY_KIND, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("seed", [0, 7])
def test_any_kind_takes_mixed_factors(kind: DesignSettings, seed: int) -> None:
    design = build(kind, MIXED, seed)
    assert design == build(kind, MIXED, seed)
    assert sorted(design.run_order) == [row.index for row in design.rows] == list(range(len(design.rows)))
    assert design.coded.shape == (len(design.rows), 6)
    assert np.linalg.matrix_rank(np.column_stack([np.ones(len(design.rows)), main_effect_columns(MIXED, design.coded)[1]])) == 8
    for row in design.rows:
        assert list(row.values) == [factor.path for factor in MIXED]
        assert row.values["head.qubits"] == {-1: 6, 1: 10}[int(row.coded[0])]
        assert row.values["training.lr"] == pytest.approx(1e-3 * 3 * 10 ** ((row.coded[1] + 1) / 2), rel=1e-8)
        assert row.values["head.merge"] == ("mean", "concatenate", "blocks")[int(row.coded[2])]
        assert row.values["head.share_blocks"] is {-1: False, 1: True}[int(row.coded[3])]
        assert row.values["head.layers"] == 3 + 2 * row.coded[4]
        assert isinstance(row.values["head.layers"], int)
        assert row.values["training.batch"] == {-1: 8, 0: 16, 1: 32}[int(row.coded[5])]


@pytest.mark.parametrize("kind", [*EVERY_KIND, *SCREENING], ids=lambda kind: kind.kind)
def test_another_seed_gives_another_run_order(kind: DesignSettings) -> None:
    factors = (QUBITS, LR, SHARED) if kind in SCREENING else MIXED
    orders = {build(kind, factors, seed).run_order for seed in range(5)}
    assert len(orders) > 1


def test_rows_have_names() -> None:
    assert [row.name for row in build(asked("full_factorial"), (QUBITS, MERGE), 0).rows] == ["r00", "r01", "r02", "r03", "r04", "r05"]


def test_full_factorial_has_every_combination_once() -> None:
    rows = build(asked("full_factorial"), (QUBITS, MERGE, BATCH), 0).rows
    every = itertools.product(QUBITS.levels, MERGE.levels, BATCH.levels)
    assert sorted(tuple(map(str, row.values.values())) for row in rows) == sorted(tuple(map(str, point)) for point in every)


@settings(deadline=None, max_examples=25)
@given(
    kind=st.sampled_from(
        [asked("fractional_factorial", resolution=3), asked("plackett_burman"), asked("full_factorial"), asked("definitive_screening")]
    ),
    factors=st.sampled_from([5, 6]),
    centre=st.integers(1, 4),
    splits=st.integers(1, 9),
)
def test_extensions_append_rows(kind: Any, factors: int, centre: int, splits: int) -> None:
    over = ranges(factors)
    start = build(kind, over, 3).rows
    extended = kind.model_copy(update={"centre_points": centre, "splits": splits})
    with_centre = build(extended, over, 3).rows
    assert with_centre[: len(start)] == start
    assert all(row.coded == (0,) * factors for row in with_centre[len(start) :])
    assert len(with_centre) == len(start) + centre
    if "fold_over" in type(kind).model_fields:
        folded = build(kind.model_copy(update={"fold_over": True}), over, 3).rows
        assert folded[: len(start)] == start
        assert len(folded) == 2 * len(start)
        assert np.array_equal([row.coded for row in folded[len(start) :]], [[-c for c in row.coded] for row in start])
        both = build(extended.model_copy(update={"fold_over": True}), over, 3).rows
        assert both[: len(with_centre)] == with_centre
        assert len(both) == 2 * len(start) + centre


def test_a_longer_sobol_design_starts_with_the_shorter() -> None:
    assert build(asked("sobol", rows=32), MIXED, 5).rows[:16] == build(asked("sobol", rows=16), MIXED, 5).rows


@pytest.mark.parametrize("seed", range(3))
def test_space_filling_gives_levels_equal_shares(seed: int) -> None:
    four = Factor("encoders", low=1, high=4, integer=True)
    hypercube = build(asked("latin_hypercube", rows=24), (QUBITS, MERGE, four), seed).rows
    for path, levels in (("head.qubits", 2), ("head.merge", 3), ("encoders", 4)):
        assert set(Counter(row.values[path] for row in hypercube).values()) == {24 // levels}
    sobol = build(asked("sobol", rows=16), (QUBITS, LR, four), seed).rows
    assert set(Counter(row.values["encoders"] for row in sobol).values()) == {4}


def test_one_at_a_time_changes_one_factor_from_the_first_row() -> None:
    first, *others = build(asked("one_at_a_time"), MIXED, 0).rows
    assert first.values == {f.path: f.choices[0] for f in MIXED}
    changed = [{path: value for path, value in row.values.items() if value != first.values[path]} for row in others]
    assert all(len(change) == 1 for change in changed)
    assert len(others) == sum(len(factor.choices) - 1 for factor in MIXED)


def test_d_optimal_repeats_rows_when_it_must() -> None:
    design = build(asked("d_optimal", rows=8, model="interactions"), two_level(2), 0)
    assert Counter(row.coded for row in design.rows) == {point: 2 for point in itertools.product((-1.0, 1.0), repeat=2)}


def test_d_optimal_of_many_factors_draws_from_the_grid() -> None:
    design = build(asked("d_optimal", rows=24), tuple(Factor(f"f{i}", levels=(0, 1, 2)) for i in range(16)), 0)
    model = np.column_stack([np.ones(24), design.coded])
    assert np.linalg.slogdet(model.T @ model)[1] > 0.9 * 17 * np.log(24)


def test_definitive_screening_puts_two_level_factors_where_they_belong() -> None:
    factors = (SHARED, LR, QUBITS, BATCH, LAYERS)
    design = build(asked("definitive_screening"), factors, 0)
    levels = [sorted(set(column)) for column in design.coded.T]
    assert levels == [[-1, 1], [-1, 0, 1], [-1, 1], [-1, 0, 1], [-1, 0, 1]]
    assert not any(aliases(factors, design.coded).main_effects.values())


def test_coded_values_follow_rounded_ones() -> None:
    """The middle of 2 to 5 is run at 4, a third of the way from the middle to the top."""
    factors = (*ranges(3), Factor("D", low=2, high=5, integer=True))
    design = build(asked("definitive_screening"), factors, 0)
    assert {row.values["D"]: row.coded[3] for row in design.rows} == {2: -1, 4: 0.33333333, 5: 1}


def test_explicit_rows_are_coded_from_their_values() -> None:
    rows: list[dict[str, Value]] = [
        {"training.lr": 3e-3, "head.merge": "mean", "head.layers": 1, "training.batch": 8.0},
        {"training.lr": 3e-2, "head.merge": "concatenate", "head.layers": 2.0, "training.batch": 16},
        {"head.layers": 5, "training.lr": 9.48683298051e-3, "head.merge": "blocks", "training.batch": 32},
        {"training.lr": 3e-2, "head.merge": "mean", "head.layers": 3, "training.batch": 32},
        {"training.lr": 3e-3, "head.merge": "mean", "head.layers": 4, "training.batch": 32},
        {"training.lr": 3e-3, "head.merge": "mean", "head.layers": 4, "training.batch": 32},
    ]
    design = build(asked("explicit", rows=rows), (LR, MERGE, LAYERS, BATCH), 0)
    expected = np.array([[-1, 0, -1, -1], [1, 1, -0.5, 0], [0, 2, 1, 1], [1, 0, 0, 1], [-1, 0, 0.5, 1], [-1, 0, 0.5, 1]])
    assert np.array_equal(design.coded, expected)
    assert design.rows[1].values == {"training.lr": 3e-2, "head.merge": "concatenate", "head.layers": 2, "training.batch": 16}
    assert [type(value) for value in design.rows[1].values.values()] == [float, str, int, int]


@settings(deadline=None)
@given(low=st.floats(1e-6, 1e3), ratio=st.floats(1.01, 1e4), scale=st.sampled_from(["linear", "log"]), coded=st.floats(-1, 1))
def test_coded_value_inverts_at(low: float, ratio: float, scale: Any, coded: float) -> None:
    factor = Factor("x", low=low, high=low * ratio, scale=scale)
    assert coded_value(factor, factor.at(coded)) == pytest.approx(coded, abs=1e-8)
    assert [coded_value(factor, factor.at(c)) for c in (-1, 0, 1)] == [-1, 0, 1]


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (SHARED, "false, true"),
        (MERGE, "mean, concatenate, blocks"),
        (Factor("x", levels=(0.00125, 2.0, 8)), "0.00125, 2, 8"),
        (LR, "0.003 to 0.03, log scale"),
        (Factor("x", low=0, high=1, steps=3), "0 to 1 in 3 levels"),
        (Factor("x", low=10, high=100, steps=3, scale="log", integer=True), "10 to 100 in 3 levels, log scale, whole numbers"),
    ],
)
def test_levels_are_written_as_in_a_study_file(factor: Factor, text: str) -> None:
    assert levels_text(factor) == text
    assert str(factor) == f"{factor.path}: {text}"


# Refusals

ODD = Factor("head.layers", low=2, high=3, integer=True)
REFUSALS: list[tuple[DesignSettings, tuple[Factor, ...], list[str]]] = [
    (asked("full_factorial"), (), ["no factors"]),
    (asked("full_factorial"), (Factor("x", levels=(1,)),), ["x has", "only one"]),
    (asked("full_factorial"), (Factor("x", low=1, high=3, steps=5, integer=True),), ["x has a repeated level"]),
    (asked("full_factorial"), wide(14), ["16,384 rows", "10,000"]),
    (asked("fractional_factorial", resolution=8), wide(30), ["32,768 rows", "lower the resolution"]),
    (asked("fractional_factorial", resolution=8), wide(40), ["resolution 8", "40 factors"]),
    (asked("fractional_factorial"), (QUBITS, MERGE), ["two levels", "head.merge has 3", "mean, concatenate, blocks", "full_factorial"]),
    (asked("plackett_burman"), (QUBITS, BATCH), ["two levels", "training.batch has 3", "8, 16, 32", "definitive_screening"]),
    (asked("plackett_burman"), (QUBITS, Factor("x", low=0, high=1, steps=3)), ["x has 3", "0 to 1 in 3 levels"]),
    (asked("plackett_burman", centre_points=2), (LR, SHARED), ["middle", "head.share_blocks", "centre_points: 0"]),
    (asked("plackett_burman", centre_points=2), (LR, QUBITS), ["middle", "head.qubits"]),
    (asked("full_factorial", centre_points=1), (LR, ODD), ["middle", "head.layers"]),
    (asked("definitive_screening", centre_points=1), (*ranges(3), SHARED), ["middle", "head.share_blocks"]),
    (asked("fractional_factorial", fold_over=True), two_level(4), ["fold_over", "same 8 rows"]),
    (asked("definitive_screening"), (LR, LAYERS), ["at least three", "here are 2: training.lr, head.layers"]),
    (asked("definitive_screening"), (*ranges(3), MERGE), ["head.merge", "mean, concatenate, blocks", "d_optimal"]),
    (asked("definitive_screening"), (*ranges(3), Factor("q", levels=(2, 4, 6, 8))), ["q is neither", "2, 4, 6, 8"]),
    (asked("definitive_screening"), (*ranges(3), ODD), ["head.layers is neither", "2 to 3"]),
    (asked("latin_hypercube", rows=7), MIXED, ["7 rows", "need 8"]),
    (asked("sobol", rows=4), MIXED, ["4 rows", "need 8"]),
    (asked("d_optimal", rows=7), MIXED, ["7 rows", "`main`", "Set rows to 8"]),
    # 1 + 7 main effects + 20 pairs of columns (21, less the one within head.merge) + squares of lr, layers and batch.
    (asked("d_optimal", rows=30, model="quadratic"), MIXED, ["30 rows", "`quadratic`", "Set rows to 31"]),
    (asked("explicit", rows=[{"head.qubits": 6}]), (QUBITS,), ["1 rows", "need 2"]),
    (asked("explicit", rows=[{"head.qubits": 6}, {}]), (QUBITS,), ["row 1", "says nothing of head.qubits"]),
    (
        asked("explicit", rows=[{"head.qubit": 6, "training.lr": 3e-3}]),
        (QUBITS, LR),
        ["nothing of head.qubits and names head.qubit, which is no factor (did you mean head.qubits?)"],
    ),
    (asked("explicit", rows=[{"head.qubits": 6, "x": 1}]), (QUBITS,), ["row 0", "names x"]),
    (asked("explicit", rows=[{"head.qubits": 8}]), (QUBITS,), ["row 0", "head.qubits the value 8", "6, 10"]),
    (asked("explicit", rows=[{"head.share_blocks": 1}]), (SHARED,), ["the value 1", "false, true"]),
    (asked("explicit", rows=[{"training.lr": 0.1}]), (LR,), ["the value 0.1", "0.003 to 0.03"]),
    (asked("explicit", rows=[{"training.lr": "low"}]), (LR,), ["the value 'low'"]),
    (asked("explicit", rows=[{"head.layers": 1.5}]), (LAYERS,), ["the value 1.5", "whole numbers"]),
]


@pytest.mark.parametrize(("kind", "factors", "parts"), REFUSALS)
def test_refuses_with_a_reason(kind: DesignSettings, factors: tuple[Factor, ...], parts: list[str]) -> None:
    with pytest.raises(DesignError) as error:
        build(kind, factors, 0)
    for part in parts:
        assert part in str(error.value)


def test_settings_are_told_apart_by_kind() -> None:
    assert asked("fractional_factorial", resolution=5, splits=3) == FractionalFactorial(kind="fractional_factorial", resolution=5, splits=3)
    row = {"a.b": True, "c": 2, "d": 2.5, "e": "x"}
    explicit = asked("explicit", rows=[row])
    assert isinstance(explicit, Explicit)
    assert [type(value) for value in explicit.rows[0].values()] == [bool, int, float, str]
    assert explicit.rows == [row]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "box"},
        {"kind": "sobol"},
        {"kind": "one_at_a_time", "centre_points": 1},
        {"kind": "full_factorial", "splits": 0},
    ],
)
def test_refuses_settings_that_no_kind_takes(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        asked(**wrong)


@pytest.mark.parametrize("kind", get_args(get_args(DesignSettings)[0]))
def test_no_kind_goes_without_saying(kind: type[BaseModel]) -> None:
    assert kind.model_fields["kind"].is_required()


@pytest.mark.parametrize(("rows", "nearest"), [(3, "2 and 4"), (12, "8 and 16"), (100, "64 and 128")])
def test_sobol_names_the_nearest_powers_of_two(rows: int, nearest: str) -> None:
    with pytest.raises(ValidationError, match=nearest):
        asked("sobol", rows=rows)


def test_settings_import_nothing_heavy() -> None:
    code = "import sys, orchestrator.design.kinds; print(sorted({'numpy', 'scipy', 'pydoe', 'pandas', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


# Columns


def test_categorical_columns_sum_to_zero() -> None:
    terms, columns = main_effect_columns((QUBITS, MERGE, SHARED), np.array([[-1, 0, -1], [1, 1, 1], [-1, 2, 1.0]]))
    assert [term.label for term in terms] == ["head.qubits", "head.merge[mean]", "head.merge[concatenate]", "head.share_blocks"]
    assert [term.factor for term in terms] == [0, 1, 1, 2]
    assert np.array_equal(columns, [[-1, 1, 0, -1], [1, 0, 1, 1], [-1, -1, -1, 1]])
    products, crossed = interaction_columns((QUBITS, MERGE, SHARED), np.array([[-1, 0, -1], [1, 1, 1], [-1, 2, 1.0]]))
    assert [product.label for product in products] == [
        "head.qubits x head.merge[mean]",
        "head.qubits x head.merge[concatenate]",
        "head.qubits x head.share_blocks",
        "head.merge[mean] x head.share_blocks",
        "head.merge[concatenate] x head.share_blocks",
    ]
    assert np.array_equal(crossed, [[-1, 0, 1, -1, 0], [0, 1, 1, 0, 1], [1, 1, -1, -1, -1]])


# Aliases


def pairs(*names: str) -> dict[str, float]:
    return {f"{name[0]} x {name[1]}": 1.0 for name in names}


def test_aliases_of_the_textbook_seven_factors_in_eight_rows() -> None:
    """D = AB, E = AC, F = BC, G = ABC; alias structure as printed in Montgomery, chapter 8."""
    found = aliases(two_level(7), generated(3, "AB", "AC", "BC", "ABC"))
    assert found.resolution == 3
    assert found.estimable == ()
    assert found.confounded == ()
    assert found.correlated == ()
    expected = {
        "A": pairs("BD", "CE", "FG"),
        "B": pairs("AD", "CF", "EG"),
        "C": pairs("AE", "BF", "DG"),
        "D": pairs("AB", "CG", "EF"),
        "E": pairs("AC", "BG", "DF"),
        "F": pairs("AG", "BC", "DE"),
        "G": pairs("AF", "BE", "CD"),
    }
    assert found.main_effects.keys() == expected.keys()
    for main, parts in expected.items():
        assert found.main_effects[main] == pytest.approx(parts)
    assert found.lines()[:2] == ["Regular two-level design of resolution III.", "A + B x D + C x E + F x G"]


def test_aliases_of_the_textbook_six_factors_in_sixteen_rows() -> None:
    """E = ABC, F = BCD (Montgomery, table of the 2^(6-2) of resolution IV)."""
    found = aliases(two_level(6), generated(4, "ABC", "BCD"))
    assert found.resolution == 4
    assert not any(found.main_effects.values())
    expected = ["AB CE", "AC BE", "AD EF", "AE BC DF", "AF DE", "BD CF", "BF CD"]
    assert {frozenset(group) for group in found.confounded} == {frozenset(pairs(*group.split())) for group in expected}
    assert found.estimable == ()
    assert "A x E = B x C = D x F" in found.lines()


def test_half_fraction_of_five_factors_estimates_every_interaction() -> None:
    found = aliases(two_level(5), generated(4, "ABCD"))
    assert found.resolution == 5
    assert len(found.estimable) == found.interactions == 10
    assert found.confounded == ()
    assert found.lines()[-1] == "Every two-factor interaction can be estimated."


def test_signs_of_words_show_in_the_aliases() -> None:
    """With D = -AB the main effects carry minus signs; with D = -ABC the interactions do."""
    matrix = generated(3, "AB")
    matrix[:, 3] *= -1
    assert aliases(two_level(4), matrix).lines()[1] == "A - B x D"
    matrix = generated(3, "ABC")
    matrix[:, 3] *= -1
    assert "A x B = - C x D" in aliases(two_level(4), matrix).lines()


@pytest.mark.parametrize("factors", range(3, 12))
def test_twelve_row_plackett_burman_spreads_interactions_in_thirds(factors: int) -> None:
    """Every main effect is partially aliased, by a third, with all interactions of two other factors (Montgomery, chapter 8)."""
    found = aliases(two_level(factors), generators.plackett_burman(11)[:, :factors])
    assert found.resolution is None
    assert found.correlated == ()
    assert found.inseparable == ()
    for main, parts in found.main_effects.items():
        assert set(parts) == {
            f"{a} x {b}" for a, b in itertools.combinations([f.path for f in two_level(factors)], 2) if main not in (a, b)
        }
        assert np.allclose(np.abs(list(parts.values())), 1 / 3)


def test_long_sums_are_cut() -> None:
    lines = aliases(two_level(11), generators.plackett_burman(11)).lines()
    assert len(lines) == 12
    assert lines[0].startswith("A ")
    assert lines[0].count(" 1/3 ") == 5
    assert lines[0].endswith("and 41 more, at most 1/3 each")
    one_column_left = aliases(two_level(10), generators.plackett_burman(11)[:, :10]).lines()
    assert len(one_column_left) == 12
    assert one_column_left[10].count(" = ") == 3
    assert one_column_left[10].endswith(" and 41 more")


@pytest.mark.parametrize("factors", [5, 7, 9, 11, 19])
def test_fold_over_frees_main_effects(factors: int) -> None:
    folded = build(asked("plackett_burman", fold_over=True, centre_points=2), ranges(factors), 0)
    assert not any(aliases(ranges(factors), folded.coded).main_effects.values())
    assert aliases(ranges(factors), folded.coded).resolution == (4 if factors in (5, 7) else None)


@settings(deadline=None, max_examples=40)
@given(
    design=st.sampled_from(
        [build(kind, ON_A_GRID, 0) for kind in EVERY_KIND] + [build(asked("plackett_burman"), two_level(count), 0) for count in (5, 7, 11)]
    ),
    data=st.data(),
)
def test_aliases_of_unfinished_designs_hold_in_least_squares(design: Any, data: Any) -> None:
    """Fit noise-free responses made of one interaction; compare ranks with and without each column."""
    kept = data.draw(st.lists(st.integers(0, len(design.rows) - 1), min_size=2, unique=True))
    coded = design.coded[sorted(kept)]
    found = aliases(design.factors, coded)
    terms, mains = main_effect_columns(design.factors, coded)
    products, crossed = interaction_columns(design.factors, coded)
    model = np.column_stack([np.ones(len(coded)), mains])
    rank = np.linalg.matrix_rank(model)
    unique = [bool(np.linalg.matrix_rank(np.delete(model, i + 1, axis=1)) < rank) for i in range(len(terms))]
    smallest = [s for s in np.linalg.svd(model)[1] if s > 1e-9]
    if min(smallest) < 0.05 * len(coded) ** 0.5:
        return  # Neither answer is wrong so near the limit.
    assert list(found.main_effects) == [term.label for term, one in zip(terms, unique, strict=True) if one]
    lost = {label for group in found.inseparable for label in group} - {"the mean"}
    assert lost == {term.label for term, one in zip(terms, unique, strict=True) if not one}
    fitted = np.linalg.lstsq(model, crossed, rcond=1e-9)[0][1:]
    for i, term in enumerate(terms):
        if unique[i]:
            expected = {product.label: fitted[i, j] for j, product in enumerate(products) if abs(fitted[i, j]) > 0.02}
            assert found.main_effects[term.label] == pytest.approx(expected, abs=1e-9)
    json.dumps(found.to_json())
    assert all(found.lines())


@settings(deadline=None, max_examples=40)
@given(kept=st.sets(st.integers(0, 15), min_size=4), generator=st.sampled_from(["ABCD", "ABC", "AB"]))
def test_estimable_interactions_are_those_that_add_rank(kept: set[int], generator: str) -> None:
    factors = two_level(5)
    coded = generated(4, generator)[sorted(kept)]
    products, crossed = interaction_columns(factors, coded)
    model = np.column_stack([np.ones(len(coded)), coded, crossed])
    rank = np.linalg.matrix_rank(model)
    adding = [p.label for i, p in enumerate(products) if np.linalg.matrix_rank(np.delete(model, 6 + i, axis=1)) < rank]
    assert list(aliases(factors, coded).estimable) == adding


def test_names_main_effects_that_cannot_be_told_apart() -> None:
    coded = np.array([[-1, -1, -1, 1], [1, 1, -1, 1], [-1, -1, 1, 1], [1, 1, 1, 1.0]])
    found = aliases(two_level(4), coded)
    assert found.inseparable == (("the mean", "D"), ("A", "B"))
    assert list(found.main_effects) == ["C"]
    assert found.main_effects["C"] == pytest.approx({"C x D": 1.0})
    assert found.lines()[:2] == [
        "D is the same in all these rows, so its effect cannot be estimated.",
        "These rows cannot tell apart: A, B",
    ]


def test_before_any_row_has_finished_nothing_can_be_estimated() -> None:
    found = aliases(MIXED, np.zeros((0, 6)))
    assert found.main_effects == {}
    assert found.estimable == ()
    assert len(found.inseparable) == 7


def test_overlapping_main_effects_are_named() -> None:
    design = build(asked("one_at_a_time"), (QUBITS, LR, SHARED), 0)
    found = {(one, other): r for one, other, r in aliases(design.factors, design.coded).correlated}
    assert len(found) == 3
    assert found["head.qubits", "training.lr"] == pytest.approx(-1 / 3)


def test_a_middle_rounded_to_a_whole_number_is_no_alias() -> None:
    epochs = Factor("training.epochs", low=10, high=100, scale="log", integer=True)
    design = build(asked("definitive_screening"), (*ranges(3), epochs, SHARED), 0)
    assert 32 in {row.values["training.epochs"] for row in design.rows}
    assert not any(aliases(design.factors, design.coded).main_effects.values())
    assert aliases(design.factors, design.coded).estimable == ()


def test_resolution_needs_a_complete_fraction() -> None:
    matrix = generated(4, "ABCD")
    assert aliases(two_level(5), np.vstack([matrix, matrix])).resolution == 5
    assert aliases(two_level(5), np.vstack([matrix, np.zeros((3, 5))])).resolution == 5
    assert aliases(two_level(5), matrix[:-1]).resolution is None
    assert aliases(two_level(5), np.vstack([matrix, matrix[:1]])).resolution is None
    assert aliases(two_level(4), generated(4)).resolution is None
