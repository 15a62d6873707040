"""Designs over factors: rows, run order, and every refusal."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hadamard.orchestrator.design.aliases import aliases
from hadamard.orchestrator.design.base import DesignError, DesignSettings
from hadamard.orchestrator.design.columns import main_effect_columns
from hadamard.orchestrator.design.design import build
from hadamard.orchestrator.design.factors import Factor, Value, levels_text
from hadamard.orchestrator.design.kinds.explicit import Explicit
from hadamard.orchestrator.design.kinds.fractional_factorial import FractionalFactorial
from hadamard.orchestrator.design.kinds.full_factorial import FullFactorial
from hadamard.orchestrator.design.registry import KINDS
from tests.support.designs import BATCH, EVERY_KIND, LAYERS, LR, MERGE, MIXED, QUBITS, SHARED, ranges, settings_of, two_level, wide

SCREENING: list[DesignSettings] = [
    settings_of("plackett_burman"),
    settings_of("fractional_factorial", resolution=3),
    settings_of("plackett_burman", fold_over=True),
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
    assert [row.name for row in build(settings_of("full_factorial"), (QUBITS, MERGE), 0).rows] == ["r00", "r01", "r02", "r03", "r04", "r05"]


def test_full_factorial_has_every_combination_once() -> None:
    rows = build(settings_of("full_factorial"), (QUBITS, MERGE, BATCH), 0).rows
    every = itertools.product(QUBITS.levels, MERGE.levels, BATCH.levels)
    assert sorted(tuple(map(str, row.values.values())) for row in rows) == sorted(tuple(map(str, point)) for point in every)


@settings(deadline=None, max_examples=25)
@given(
    kind=st.sampled_from(
        [
            settings_of("fractional_factorial", resolution=3),
            settings_of("plackett_burman"),
            settings_of("full_factorial"),
            settings_of("definitive_screening"),
        ]
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


@settings(deadline=None, max_examples=25)
@given(
    kind=st.sampled_from(
        [settings_of("fractional_factorial", resolution=3), settings_of("plackett_burman"), settings_of("full_factorial")]
    ),
    sorts=st.lists(st.sampled_from(["linear", "log", "whole", "three"]), min_size=0, max_size=4),
    centre=st.integers(0, 3),
)
def test_axial_points_come_last_and_tell_which_factor_bends(kind: Any, sorts: list[str], centre: int) -> None:
    """The mean, all main effects and all pure squares have unique estimates, which without axial points they have not."""
    sorts = [sort for sort in sorts if sort != "three" or isinstance(kind, FullFactorial)] + ["linear", "log"]
    over = tuple(_with_a_middle(f"f{at}", sort) for at, sort in enumerate(sorts))
    without = build(kind.model_copy(update={"centre_points": centre}), over, 3)
    axial = build(kind.model_copy(update={"centre_points": centre, "axial_points": True}), over, 3)
    assert axial.rows[: len(without.rows)] == without.rows
    added = axial.coded[len(without.rows) :]
    assert len(added) == 2 * len(over)
    assert all(np.sum(np.abs(row) == 1) == 1 and np.sum(np.abs(row) < 0.5) == len(over) - 1 for row in added)
    assert np.linalg.matrix_rank(_with_squares(axial.coded)) == 1 + 2 * len(over)
    assert np.linalg.matrix_rank(_with_squares(without.coded)) < 1 + 2 * len(over)


def _with_a_middle(path: str, sort: str) -> Factor:
    if sort == "three":
        return Factor(path, levels=(8, 16, 32))
    return Factor(path, low=2, high=7, integer=sort == "whole", scale="log" if sort == "log" else "linear")


def _with_squares(coded: Any) -> Any:
    return np.column_stack([np.ones(len(coded)), coded, coded**2])


def test_axial_points_that_the_design_has_are_not_repeated() -> None:
    """The faces of B's three levels lie on A's middle, which a factorial does not visit; those of A are rows of it already."""
    over = (Factor("A", low=0, high=1), Factor("B", low=0, high=1, steps=3))
    rows = build(settings_of("full_factorial", axial_points=True), over, 0).rows
    assert [row.coded for row in rows[6:]] == [(0, -1), (0, 1)]
    three = tuple(Factor(name, low=0, high=1, steps=3) for name in "AB")
    with pytest.raises(DesignError, match="all 4 of them already"):
        build(settings_of("full_factorial", axial_points=True), three, 0)


def test_axial_points_follow_the_fold_over() -> None:
    over = ranges(3)
    folded = build(settings_of("plackett_burman", fold_over=True), over, 1).rows
    both = build(settings_of("plackett_burman", fold_over=True, axial_points=True), over, 1).rows
    assert both[: len(folded)] == folded
    assert [row.coded for row in both[len(folded) :]] == [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)]


def test_a_longer_sobol_design_starts_with_the_shorter() -> None:
    assert build(settings_of("sobol", rows=32), MIXED, 5).rows[:16] == build(settings_of("sobol", rows=16), MIXED, 5).rows


@pytest.mark.parametrize("seed", range(3))
def test_space_filling_gives_levels_equal_shares(seed: int) -> None:
    four = Factor("encoders", low=1, high=4, integer=True)
    hypercube = build(settings_of("latin_hypercube", rows=24), (QUBITS, MERGE, four), seed).rows
    for path, levels in (("head.qubits", 2), ("head.merge", 3), ("encoders", 4)):
        assert set(Counter(row.values[path] for row in hypercube).values()) == {24 // levels}
    sobol = build(settings_of("sobol", rows=16), (QUBITS, LR, four), seed).rows
    assert set(Counter(row.values["encoders"] for row in sobol).values()) == {4}


def test_one_at_a_time_changes_one_factor_from_the_first_row() -> None:
    first, *others = build(settings_of("one_at_a_time"), MIXED, 0).rows
    assert first.values == {f.path: f.choices[0] for f in MIXED}
    changed = [{path: value for path, value in row.values.items() if value != first.values[path]} for row in others]
    assert all(len(change) == 1 for change in changed)
    assert len(others) == sum(len(factor.choices) - 1 for factor in MIXED)


def test_d_optimal_repeats_rows_when_it_must() -> None:
    design = build(settings_of("d_optimal", rows=8, model="interactions"), two_level(2), 0)
    assert Counter(row.coded for row in design.rows) == {point: 2 for point in itertools.product((-1.0, 1.0), repeat=2)}


def test_d_optimal_of_many_factors_draws_from_the_grid() -> None:
    design = build(settings_of("d_optimal", rows=24), tuple(Factor(f"f{i}", levels=(0, 1, 2)) for i in range(16)), 0)
    model = np.column_stack([np.ones(24), design.coded])
    assert np.linalg.slogdet(model.T @ model)[1] > 0.9 * 17 * np.log(24)


def test_definitive_screening_puts_two_level_factors_where_they_belong() -> None:
    factors = (SHARED, LR, QUBITS, BATCH, LAYERS)
    design = build(settings_of("definitive_screening"), factors, 0)
    levels = [sorted(set(column)) for column in design.coded.T]
    assert levels == [[-1, 1], [-1, 0, 1], [-1, 1], [-1, 0, 1], [-1, 0, 1]]
    assert not any(aliases(factors, design.coded).main_effects.values())


def test_coded_values_follow_rounded_ones() -> None:
    """The middle of 2 to 5 is run at 4, a third of the way from the middle to the top."""
    factors = (*ranges(3), Factor("D", low=2, high=5, integer=True))
    design = build(settings_of("definitive_screening"), factors, 0)
    assert {row.values["D"]: row.coded[3] for row in design.rows} == {2: -1, 4: 0.33333333, 5: 1}


def test_explicit_rows_are_coded_from_their_values() -> None:
    rows: list[dict[str, Value]] = [
        {"training.lr": 3e-3, "head.merge": "mean", "head.layers": 1, "training.batch": 8.0},
        {"training.lr": 3e-2, "head.merge": "concatenate", "head.layers": 2.0, "training.batch": 16},
        {"head.layers": 5, "training.lr": 9.48683298051e-3, "head.merge": "blocks", "training.batch": 32},
        {"training.lr": 3e-2, "head.merge": "mean", "head.layers": 3, "training.batch": 32},
        {"training.lr": 3e-3, "head.merge": "mean", "head.layers": 4, "training.batch": 32},
        {"training.lr": 3e-3, "head.merge": "mean", "head.layers": 4, "training.batch": 32},
        {"training.lr": 3e-2, "head.merge": "blocks", "head.layers": 5, "training.batch": 8},
    ]
    design = build(settings_of("explicit", rows=rows), (LR, MERGE, LAYERS, BATCH), 0)
    expected = np.array([[-1, 0, -1, -1], [1, 1, -0.5, 0], [0, 2, 1, 1], [1, 0, 0, 1], [-1, 0, 0.5, 1], [-1, 0, 0.5, 1], [1, 2, 1, -1]])
    assert np.array_equal(design.coded, expected)
    assert design.rows[1].values == {"training.lr": 3e-2, "head.merge": "concatenate", "head.layers": 2, "training.batch": 16}
    assert [type(value) for value in design.rows[1].values.values()] == [float, str, int, int]


@settings(deadline=None)
@given(low=st.floats(1e-6, 1e3), ratio=st.floats(1.01, 1e4), scale=st.sampled_from(["linear", "log"]), coded=st.floats(-1, 1))
def test_coded_inverts_at(low: float, ratio: float, scale: Any, coded: float) -> None:
    factor = Factor("x", low=low, high=low * ratio, scale=scale)
    assert factor.coded(factor.at(coded)) == pytest.approx(coded, abs=1e-8)
    assert [factor.coded(factor.at(c)) for c in (-1, 0, 1)] == [-1, 0, 1]


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
    (settings_of("full_factorial"), (), ["no factors"]),
    (settings_of("full_factorial"), (Factor("x", levels=(1,)),), ["x has", "only one"]),
    (settings_of("full_factorial"), (Factor("x", low=1, high=3, steps=5, integer=True),), ["x has a repeated level"]),
    (settings_of("full_factorial"), wide(14), ["16,384 rows", "10,000"]),
    (settings_of("fractional_factorial", resolution=8), wide(30), ["32,768 rows", "lower the resolution"]),
    (settings_of("fractional_factorial", resolution=8), wide(40), ["resolution 8", "40 factors"]),
    (
        settings_of("fractional_factorial"),
        (QUBITS, MERGE),
        [
            "two levels",
            "head.merge is not one of them",
            "mean, concatenate, blocks",
            "another kind of design: full_factorial, latin_hypercube, sobol, d_optimal, one_at_a_time, explicit.",
        ],
    ),
    (
        settings_of("plackett_burman"),
        (QUBITS, BATCH),
        ["two levels", "training.batch is not one of them", "8, 16, 32", "definitive_screening"],
    ),
    (settings_of("plackett_burman"), (QUBITS, Factor("x", low=0, high=1, steps=3)), ["x is not one of them", "0 to 1 in 3 levels"]),
    (settings_of("plackett_burman", centre_points=2), (LR, SHARED), ["middle", "head.share_blocks", "centre_points: 0"]),
    (settings_of("plackett_burman", centre_points=2), (LR, QUBITS), ["middle", "head.qubits"]),
    (settings_of("full_factorial", centre_points=1), (LR, ODD), ["middle", "head.layers"]),
    (settings_of("definitive_screening", centre_points=1), (*ranges(3), SHARED), ["middle", "head.share_blocks"]),
    (
        settings_of("plackett_burman", axial_points=True),
        (LR, SHARED),
        ["axial_points need", "head.share_blocks", "{low, high}", "axial_points: false"],
    ),
    (settings_of("full_factorial", axial_points=True), (LR, QUBITS), ["axial_points need", "head.qubits lacks"]),
    (settings_of("full_factorial", axial_points=True), (LR, ODD), ["axial_points need", "head.layers lacks"]),
    (settings_of("full_factorial", axial_points=True), (LR, MERGE), ["axial_points need", "head.merge lacks"]),
    (settings_of("full_factorial", axial_points=True), (LR,), ["axial_points would add nothing", "all 2 of them"]),
    (settings_of("fractional_factorial", fold_over=True), two_level(4), ["fold_over", "same 8 rows"]),
    (settings_of("definitive_screening"), (LR, LAYERS), ["at least three", "here are 2: training.lr, head.layers"]),
    (settings_of("definitive_screening"), (*ranges(3), MERGE), ["head.merge", "mean, concatenate, blocks", "d_optimal"]),
    (settings_of("definitive_screening"), (*ranges(3), Factor("q", levels=(2, 4, 6, 8))), ["q is not one of them", "2, 4, 6, 8"]),
    (settings_of("definitive_screening"), (*ranges(3), ODD), ["head.layers is not one of them", "2 to 3"]),
    (settings_of("latin_hypercube", rows=7), MIXED, ["7 rows", "need 8"]),
    (settings_of("sobol", rows=4), MIXED, ["4 rows", "need 8"]),
    (settings_of("d_optimal", rows=7), MIXED, ["7 rows", "`main`", "Set rows to 8"]),
    # 1 + 7 main effects + 20 pairs of columns (21, less the one within head.merge) + squares of lr, layers and batch.
    (settings_of("d_optimal", rows=30, model="quadratic"), MIXED, ["30 rows", "`quadratic`", "Set rows to 31"]),
    (
        settings_of("explicit", rows=[{"head.qubits": 6}]),
        (QUBITS,),
        ["1 row,", "need 2", "head.qubits is 6 in every row", "Add {head.qubits: 10}"],
    ),
    (settings_of("explicit", rows=[{"head.qubits": 6}, {}]), (QUBITS,), ["row 1", "has no value for head.qubits"]),
    (
        settings_of("explicit", rows=[{"head.qubit": 6, "training.lr": 3e-3}]),
        (QUBITS, LR),
        ["has no value for head.qubits, though it names head.qubit (did you mean head.qubits?)"],
    ),
    (settings_of("explicit", rows=[{"head.qubits": 8}]), (QUBITS,), ["row 0", "head.qubits the value 8", "6, 10"]),
    (settings_of("explicit", rows=[{"head.share_blocks": 1}]), (SHARED,), ["the value 1", "false, true"]),
    (settings_of("explicit", rows=[{"training.lr": 0.1}]), (LR,), ["the value 0.1", "0.003 to 0.03"]),
    (settings_of("explicit", rows=[{"training.lr": "low"}]), (LR,), ["the value 'low'"]),
    (settings_of("explicit", rows=[{"head.layers": 1.5}]), (LAYERS,), ["the value 1.5", "whole numbers"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "factors", "parts"), REFUSALS)
def test_refuses_with_a_reason(kind: DesignSettings, factors: tuple[Factor, ...], parts: list[str]) -> None:
    with pytest.raises(DesignError) as error:
        build(kind, factors, 0)
    for part in parts:
        assert part in str(error.value)


def test_settings_are_told_apart_by_kind() -> None:
    assert settings_of("fractional_factorial", resolution=5, splits=3) == FractionalFactorial(
        kind="fractional_factorial", resolution=5, splits=3
    )
    row = {"a.b": True, "c": 2, "d": 2.5, "e": "x"}
    explicit = settings_of("explicit", rows=[row])
    assert isinstance(explicit, Explicit)
    assert [type(value) for value in explicit.rows[0].values()] == [bool, int, float, str]
    assert explicit.rows == [row]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "box"},
        {"kind": "sobol"},
        {"kind": "one_at_a_time", "centre_points": 1},
        {"kind": "sobol", "rows": 8, "axial_points": True},
        {"kind": "full_factorial", "splits": 0},
    ],
)
def test_refuses_settings_that_no_kind_takes(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings_of(**wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_goes_without_saying(kind: type[DesignSettings]) -> None:
    assert kind.model_fields["kind"].is_required()


@pytest.mark.parametrize(("rows", "nearest"), [(3, "2 and 4"), (12, "8 and 16"), (100, "64 and 128")])
def test_sobol_names_the_nearest_powers_of_two(rows: int, nearest: str) -> None:
    with pytest.raises(ValidationError, match=nearest):
        settings_of("sobol", rows=rows)


def test_settings_import_nothing_heavy() -> None:
    heavy = {"numpy", "scipy", "pydoe", "pandas", "torch"}
    code = f"import sys, hadamard.orchestrator.design.registry; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
