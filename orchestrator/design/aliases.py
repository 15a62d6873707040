"""Aliases: what a set of rows can tell apart and what it confounds, for any subset of rows, such as those that have finished."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from operator import xor

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from hadamard.orchestrator.design.columns import Matrix, Term, interaction_columns, main_effect_columns
from hadamard.orchestrator.design.factors import Factor

_NEGLIGIBLE = 0.02
"""Part of a full effect or column that counts as zero: a middle rounded to a whole number may leave that much."""
_LOST = _NEGLIGIBLE**2
_SHOWN = 4
THE_MEAN = "the mean"
_ROMAN = ("0", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")


@dataclass(frozen=True)
class Aliases:
    """Which effects the rows confound. Labels are those of `Term` and `Interaction`; coefficients are in coded units."""

    resolution: int | None
    """Length of the shortest word of a regular two-level fraction; None for any other design and for a full factorial."""
    main_effects: dict[str, dict[str, float]]
    """For each main effect that can be estimated, the coefficient of each interaction that biases it, largest first.

    These are the entries of the alias matrix (X1'X1)^-1 X1'X2 above 0.02, where X1 holds mean and main effects."""
    correlated: tuple[tuple[str, str, float], ...]
    """Pairs of main effects of different factors whose columns correlate by more than 0.02."""
    inseparable: tuple[tuple[str, ...], ...]
    """Groups of main effects (and perhaps `the mean`) that the rows cannot tell apart, whatever the interactions."""
    confounded: tuple[tuple[str, ...], ...]
    """Groups of interactions whose columns, after mean and main effects are projected out, are the same up to their sign (`-`)."""
    estimable: tuple[str, ...]
    """Interactions with a unique least-squares estimate in the model of mean, all main effects and all two-factor interactions."""
    interactions: int
    """Number of columns of two-factor interactions."""

    def lines(self) -> list[str]:
        """Return one statement per line; long sums show their largest parts."""
        lines = (
            [] if self.resolution is None or self.inseparable else [f"Regular two-level design of resolution {_roman(self.resolution)}."]
        )
        lines += [_inseparable(group) for group in self.inseparable]
        lines += self._overlap_lines()
        lines += [_sum(main, parts) for main, parts in self.main_effects.items() if parts]
        clear = [main for main, parts in self.main_effects.items() if not parts]
        if clear and self.interactions:
            lines.append(f"Clear of two-factor interactions: {', '.join(clear)}")
        lines += [_equation(group) for group in self.confounded]
        return lines + self._estimable_lines()

    def _overlap_lines(self) -> list[str]:
        partly = [pair for pair in self.correlated if abs(pair[2]) < 1 - _LOST]
        shown, rest = partly[:_SHOWN], partly[_SHOWN:]
        lines = [f"{first} and {second} overlap: correlation {r:.2f}" for first, second, r in shown]
        return lines + ([f"{len(rest)} more pairs of main effects overlap: correlation at most {abs(rest[0][2]):.2f}"] if rest else [])

    def _estimable_lines(self) -> list[str]:
        if not self.interactions:
            return []
        if len(self.estimable) == self.interactions:
            return ["Every two-factor interaction can be estimated."]
        if not self.estimable:
            return ["No two-factor interaction can be estimated together with all the others."]
        return [f"Two-factor interactions that can be estimated together with all others: {', '.join(self.estimable)}"]


def aliases(factors: Sequence[Factor], coded: Matrix) -> Aliases:
    """Return what these rows confound.

    Args:
        factors: Of the design.
        coded: Coded values of the rows [rows, factors].
    """
    terms, mains = main_effect_columns(factors, coded)
    products, crossed = interaction_columns(factors, coded)
    model = np.column_stack([np.ones(len(coded)), mains])
    inverse, vanishing = _solve(model)
    alias_matrix = inverse @ crossed
    residual = crossed - model @ alias_matrix
    names = [product.label for product in products]
    known = np.diag(vanishing) < _LOST
    return Aliases(
        resolution=_resolution(factors, coded),
        main_effects={t.label: _largest_first(names, alias_matrix[i]) for i, t in enumerate(terms, start=1) if known[i]},
        correlated=_correlated(terms, mains),
        inseparable=_groups([THE_MEAN, *(term.label for term in terms)], vanishing),
        confounded=_same_columns(names, residual),
        estimable=tuple(name for name, lost in zip(names, np.diag(_solve(residual)[1]), strict=True) if lost < _LOST),
        interactions=len(products),
    )


def inseparable(terms: Sequence[Term], mains: Matrix) -> tuple[tuple[str, ...], ...]:
    """Return the groups of `Aliases.inseparable` for main-effect columns [rows, terms]."""
    return _groups([THE_MEAN, *(term.label for term in terms)], _solve(np.column_stack([np.ones(len(mains)), mains]))[1])


def _solve(columns: Matrix) -> tuple[Matrix, Matrix]:
    """Return the pseudo-inverse, and the projector [columns, columns] onto combinations of columns that vanish.

    The projector's diagonal is 0 where a coefficient is unique.
    """
    left, sizes, right = np.linalg.svd(columns, full_matrices=False)
    # An absolute limit, since the residual of the main effects may hold nothing but rounding noise.
    seen = sizes > _NEGLIGIBLE * max(1, len(columns)) ** 0.5
    inverse = (right[seen].T / sizes[seen]) @ left[:, seen].T
    return np.asarray(inverse), np.asarray(np.eye(columns.shape[1]) - right[seen].T @ right[seen])


def _groups(names: Sequence[str], vanishing: Matrix) -> tuple[tuple[str, ...], ...]:
    """Return the sets of columns that take part in the same vanishing combinations."""
    linked = np.abs(vanishing) > _LOST
    count, component = connected_components(linked, directed=False)
    lost = np.diag(linked)
    groups = [tuple(name for j, name in enumerate(names) if component[j] == i and lost[j]) for i in range(count)]
    return tuple(group for group in groups if group and group != (THE_MEAN,))


def _correlated(terms: Sequence[Term], mains: Matrix) -> tuple[tuple[str, str, float], ...]:
    unit = _unit_columns(mains - mains.mean(axis=0)) if len(mains) else mains
    r = unit.T @ unit
    pairs = itertools.combinations(range(len(terms)), 2)
    overlapping = [(i, j) for i, j in pairs if terms[i].factor != terms[j].factor and abs(r[i, j]) > _NEGLIGIBLE]
    return tuple((terms[i].label, terms[j].label, float(r[i, j])) for i, j in sorted(overlapping, key=lambda ij: -abs(np.round(r[ij], 6))))


def _same_columns(names: Sequence[str], columns: Matrix) -> tuple[tuple[str, ...], ...]:
    unit = _unit_columns(columns)
    r = unit.T @ unit
    taken: set[int] = set()
    groups = []
    for i in range(len(names)):
        same = [int(j) for j in np.flatnonzero(np.abs(r[i]) > 1 - _LOST) if j > i and j not in taken]
        if i not in taken and same:
            taken.update(same)
            groups.append((names[i], *(f"{'-' if r[i, j] < 0 else ''}{names[j]}" for j in same)))
    return tuple(groups)


def _unit_columns(columns: Matrix) -> Matrix:
    """Return the columns scaled to length 1; those of nothing but rounding noise become 0."""
    lengths = np.linalg.norm(columns, axis=0)
    present = lengths > _NEGLIGIBLE * max(1, len(columns)) ** 0.5
    return np.asarray(columns * present / np.where(present, lengths, 1))


def _resolution(factors: Sequence[Factor], coded: Matrix) -> int | None:
    """Return the length of the shortest word of the defining relation, by trying every word; None without such a relation.

    Rows with all factors in the middle are left out. The rest are a regular fraction when, as vectors over GF(2), they are an
    equally often repeated coset of a linear space; a word is then a set of factors whose product is constant.
    """
    if any(factor.is_unordered for factor in factors):
        return None
    corners = coded[np.any(coded != 0, axis=1)]
    if not len(corners) or np.any(np.abs(corners) != 1):
        return None
    bits, counts = np.unique((corners * corners[0] < 0).astype(np.int64), axis=0, return_counts=True)
    basis = _basis(bits)
    if len(set(counts)) > 1 or len(bits) != 2 ** len(basis) or len(basis) == len(factors):
        return None
    columns = [int("".join(map(str, column)) or "0", 2) for column in basis.T]
    lengths = range(1, len(factors) + 1)
    return next(length for length in lengths if any(reduce(xor, word) == 0 for word in itertools.combinations(columns, length)))


def _basis(bits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return independent vectors over GF(2) that span all of these, by elimination [rank, factors]."""
    remaining, basis = bits.copy(), []
    for column in range(remaining.shape[1]):
        with_one = np.flatnonzero(remaining[:, column])
        if len(with_one):
            pivot = remaining[with_one[0]].copy()
            basis.append(pivot)
            remaining[with_one] ^= pivot
    return np.array(basis, dtype=np.int64).reshape(len(basis), remaining.shape[1])


def _largest_first(names: Sequence[str], coefficients: Matrix) -> dict[str, float]:
    order = np.argsort(-np.abs(np.round(coefficients, 6)), kind="stable")
    return {names[i]: float(coefficients[i]) for i in order if abs(coefficients[i]) > _NEGLIGIBLE}


def _sum(main: str, parts: dict[str, float]) -> str:
    shown = list(parts.items())[:_SHOWN]
    text = main + "".join(f" {'+' if c > 0 else '-'} {_times(abs(c))}{name}" for name, c in shown)
    rest = list(parts.values())[_SHOWN:]
    return text + (f" and {len(rest)} more, at most {_times(abs(rest[0])) or '1 '}each" if rest else "")


def _equation(group: Sequence[str]) -> str:
    shown, rest = group[:_SHOWN], group[_SHOWN:]
    return " = ".join(shown).replace("= -", "= - ") + (f" and {len(rest)} more" if rest else "")


def _times(number: float) -> str:
    fraction = Fraction(number).limit_denominator(12)
    if abs(float(fraction) - number) > 1e-6:
        return f"{number:.2g} "
    return "" if fraction == 1 else f"{fraction} "


def _inseparable(group: Sequence[str]) -> str:
    mains = [name for name in group if name != THE_MEAN]
    if len(mains) == 1:
        return f"{mains[0]} is the same in all these rows, so its effect cannot be estimated."
    return f"These rows cannot tell apart: {', '.join(group)}"


def _roman(number: int) -> str:
    return _ROMAN[number] if number < len(_ROMAN) else str(number)
