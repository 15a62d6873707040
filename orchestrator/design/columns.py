"""The linear model of a design: its terms, and their columns over a set of rows. Aliases, power and analysis use them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hadamard.orchestrator.design.factors import Factor

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """A column of the main-effects model."""

    factor: int
    """Index of the factor."""
    label: str
    """The factor's path, with the level in brackets where a factor has several columns."""


@dataclass(frozen=True)
class Interaction:
    """A column of a two-factor interaction: the product of two terms of different factors."""

    first: Term
    second: Term

    @property
    def label(self) -> str:
        """Both terms' labels."""
        return f"{self.first.label} x {self.second.label}"


def main_effect_columns(factors: Sequence[Factor], coded: Matrix) -> tuple[list[Term], Matrix]:
    """Return the terms and columns [rows, terms] of the main-effects model, without the intercept.

    A numeric or two-level factor has its coded values as its column. A categorical factor of k levels has k - 1 sum-to-zero
    columns: 1 at the column's level, -1 at the last one; their coefficients are those levels' distances from the mean of levels.
    """
    terms: list[Term] = []
    columns: list[Matrix] = []
    for i, factor in enumerate(factors):
        if not factor.is_unordered:
            terms.append(Term(i, factor.path))
            columns.append(coded[:, i])
            continue
        last = len(factor.levels) - 1
        for j, level in enumerate(factor.levels[:last]):
            terms.append(Term(i, f"{factor.path}[{level}]"))
            columns.append(1.0 * (coded[:, i] == j) - 1.0 * (coded[:, i] == last))
    return terms, np.column_stack(columns)


def interaction_columns(factors: Sequence[Factor], coded: Matrix) -> tuple[list[Interaction], Matrix]:
    """Return all two-factor interactions and their columns [rows, interactions]: products of main-effect columns."""
    terms, mains = main_effect_columns(factors, coded)
    pairs = [(i, j) for i, j in itertools.combinations(range(len(terms)), 2) if terms[i].factor != terms[j].factor]
    first, second = [i for i, _ in pairs], [j for _, j in pairs]
    return [Interaction(terms[i], terms[j]) for i, j in pairs], mains[:, first] * mains[:, second]
