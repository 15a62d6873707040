"""The contract of design kinds: their settings in a study, the factors they take, and the rows they make.

A kind is a settings class in a module of `kinds/`; `registry.py` lists them all, and `design.py` builds a design from one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from hadamard.model.errors import UserError
from hadamard.model.settings import Settings
from hadamard.orchestrator.design.factors import Factor, Value, levels_text

MOST_ROWS = 10_000
Point = tuple[Value, ...]
"""A row in real values, one per factor."""


class DesignError(UserError):
    """The design cannot be made from these factors, or with this many rows."""


class UnsuitableKindError(DesignError):
    """This kind of design does not suit the factors; `build` adds to the message which kinds take them."""


class DesignSettings(Settings):
    """The settings of one kind of design: a subclass has a field `kind`, a Literal of its name.

    Attributes:
        takes_in_words: The factors that the kind takes.
    """

    takes_in_words: ClassVar[str] = "any factors"
    splits: Annotated[int, Field(ge=1, le=10**4)] = 5
    """Seeded draws of train, validation and test; each row is run once in each of them, so they are blocks."""
    kind: str

    @classmethod
    def takes(cls, factor: Factor) -> bool:
        """Whether a design of this kind can vary the factor."""
        return True

    def base_points(self, factors: Sequence[Factor], seed: int) -> list[Point]:
        """Return the rows of the design in real values and standard order, without any that settings add to it.

        Args:
            factors: One or more, which the kind takes, each of two different levels or more.
            seed: Decides the rows of kinds that draw them.

        Raises:
            DesignError: There is no such design of these factors.
        """
        raise NotImplementedError

    def added_points(self, factors: Sequence[Factor], base: Sequence[Point]) -> list[Point]:
        """Return the rows that settings add after the base design; raises as `base_points`."""
        return []

    def written_rows(self) -> Sequence[Mapping[str, Value]]:
        """Return the rows as the study file writes them under `rows`, by dotted path; none where the kind computes them.

        Such a row may set more than the factors: those settings change along with it and have no effect of their own.
        """
        return ()


class ExtendableDesign(DesignSettings):
    """A design over the ends of numeric factors, to which rows in the very middle and in the middles of the faces may be added."""

    centre_points: Annotated[int, Field(ge=0, le=1000)] = 0
    """Extra rows with every factor at its middle, which show curvature. Every factor must have a middle."""
    axial_points: bool = False
    """Extra rows with one factor at its low or high end and all others at their middles, which show which factor bends the response.

    Ends are those of the design itself (face-centred: Montgomery, Design and Analysis of Experiments, 8th ed., 11.4.2). Every factor must
    have a middle."""

    def added_points(self, factors: Sequence[Factor], base: Sequence[Point]) -> list[Point]:
        """Return centre points, the mirror image, then axial points, so that none renumbers the rows before."""
        added = [*self._centre_points(factors), *self.mirror_image(factors, base)]
        return [*added, *self._axial_points(factors, [*base, *added])]

    def mirror_image(self, factors: Sequence[Factor], base: Sequence[Point]) -> list[Point]:
        """Return the base design with all levels exchanged, if the settings ask for it."""
        return []

    def _centre_points(self, factors: Sequence[Factor]) -> list[Point]:
        if self.centre_points:
            _check_middles(factors, "centre_points", "0")
        return [tuple(factor.at(0) for factor in factors)] * self.centre_points

    def _axial_points(self, factors: Sequence[Factor], points: Sequence[Point]) -> list[Point]:
        """Return each factor's low and high end with all others in the middle, except rows that the design has already."""
        if not self.axial_points:
            return []
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


class TwoLevelDesign(ExtendableDesign):
    """A design of factors of two levels, which may be followed by its mirror image."""

    takes_in_words: ClassVar[str] = "factors of two levels"
    fold_over: bool = False
    """Repeat the design with all levels exchanged, which frees main effects from two-factor interactions."""

    @classmethod
    def takes(cls, factor: Factor) -> bool:
        """Whether the factor has two levels; a range has, unless it names more."""
        return len(factor.choices) == 2

    def mirror_image(self, factors: Sequence[Factor], base: Sequence[Point]) -> list[Point]:
        """Return the base design with all levels exchanged, if `fold_over` is set."""
        if not self.fold_over:
            return []
        other = [{low: high, high: low} for low, high in (factor.choices for factor in factors)]
        mirrored = [tuple(swap[value] for swap, value in zip(other, point, strict=True)) for point in base]
        if set(mirrored) == set(base):
            raise DesignError(
                f"fold_over would run the same {len(base)} rows of this design a second time and separate nothing. "
                "Set fold_over: false; for more precision add splits, for clear interactions ask for a higher resolution."
            )
        return mirrored


def points_at(factors: Sequence[Factor], coded: Iterable[Iterable[float]]) -> list[Point]:
    """Return the real values of coded rows [rows, factors], each in [-1, 1]."""
    return [tuple(factor.at(float(value)) for factor, value in zip(factors, row, strict=True)) for row in coded]


def points_at_fractions(factors: Sequence[Factor], fractions: Iterable[Iterable[float]]) -> list[Point]:
    """Return the real values of points of the unit cube [rows, factors]."""
    return [tuple(factor.at_fraction(float(value)) for factor, value in zip(factors, row, strict=True)) for row in fractions]


def check_number_of_rows(kind: str, rows: int) -> None:
    """Raise an UnsuitableKindError if a design has more rows than are allowed."""
    if rows > MOST_ROWS:
        raise UnsuitableKindError(
            f"this {kind} has {rows:,} rows, and more than {MOST_ROWS:,} are refused. Take out factors or levels, or lower the resolution."
        )


def check_factors(factors: Sequence[Factor]) -> None:
    """Raise a DesignError unless there are factors, each with two different levels or more."""
    if not factors:
        raise DesignError("the study names no factors, so there is nothing to design. Add at least one under `factors`.")
    for factor in factors:
        if len(factor.choices) < 2 or len(set(factor.choices)) < len(factor.choices):
            raise DesignError(f"{factor.path} has a repeated level or only one: {levels_text(factor)}. Give it two or more different ones.")


def _check_middles(factors: Sequence[Factor], setting: str, off: str) -> None:
    without = [factor.path for factor in factors if not factor.has_middle]
    if without:
        raise DesignError(
            f"{setting} need every factor to have a middle, which {', '.join(without)} lacks. "
            f"Make it a range {{low, high}} with room between, list an odd number of numeric levels, or set {setting}: {off}."
        )
