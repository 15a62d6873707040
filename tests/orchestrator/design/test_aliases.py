"""Model columns and aliases: textbook structures, and least squares on designs with gaps."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hadamard.orchestrator.design.aliases import aliases
from hadamard.orchestrator.design.columns import interaction_columns, main_effect_columns
from hadamard.orchestrator.design.design import build
from hadamard.orchestrator.design.factors import Factor
from hadamard.orchestrator.design.kinds.plackett_burman import plackett_burman
from tests.support.designs import EVERY_KIND, LR, MERGE, MIXED, ON_A_GRID, QUBITS, SHARED, generated, ranges, settings_of, two_level


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
    found = aliases(two_level(factors), plackett_burman(11)[:, :factors])
    assert found.resolution is None
    assert found.correlated == ()
    assert found.inseparable == ()
    for main, parts in found.main_effects.items():
        assert set(parts) == {
            f"{a} x {b}" for a, b in itertools.combinations([f.path for f in two_level(factors)], 2) if main not in (a, b)
        }
        assert np.allclose(np.abs(list(parts.values())), 1 / 3)


def test_long_sums_are_cut() -> None:
    lines = aliases(two_level(11), plackett_burman(11)).lines()
    assert len(lines) == 12
    assert lines[0].startswith("A ")
    assert lines[0].count(" 1/3 ") == 5
    assert lines[0].endswith("and 41 more, at most 1/3 each")
    one_column_left = aliases(two_level(10), plackett_burman(11)[:, :10]).lines()
    assert len(one_column_left) == 12
    assert one_column_left[10].count(" = ") == 3
    assert one_column_left[10].endswith(" and 41 more")


@pytest.mark.parametrize("factors", [5, 7, 9, 11, 19])
def test_fold_over_frees_main_effects(factors: int) -> None:
    folded = build(settings_of("plackett_burman", fold_over=True, centre_points=2), ranges(factors), 0)
    assert not any(aliases(ranges(factors), folded.coded).main_effects.values())
    assert aliases(ranges(factors), folded.coded).resolution == (4 if factors in (5, 7) else None)


@settings(deadline=None, max_examples=40)
@given(
    design=st.sampled_from(
        [build(kind, ON_A_GRID, 0) for kind in EVERY_KIND]
        + [build(settings_of("plackett_burman"), two_level(count), 0) for count in (5, 7, 11)]
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
            whole = {product.label: fitted[i, j] for j, product in enumerate(products) if abs(abs(fitted[i, j]) - 0.02) > 1e-9}
            expected = {label: part for label, part in whole.items() if abs(part) > 0.02}
            seen = {label: part for label, part in found.main_effects[term.label].items() if label in whole}  # at the limit: either
            assert seen == pytest.approx(expected, abs=1e-9)
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
    design = build(settings_of("one_at_a_time"), (QUBITS, LR, SHARED), 0)
    found = {(one, other): r for one, other, r in aliases(design.factors, design.coded).correlated}
    assert len(found) == 3
    assert found["head.qubits", "training.lr"] == pytest.approx(-1 / 3)


def test_a_middle_rounded_to_a_whole_number_is_no_alias() -> None:
    epochs = Factor("training.epochs", low=10, high=100, scale="log", integer=True)
    design = build(settings_of("definitive_screening"), (*ranges(3), epochs, SHARED), 0)
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
