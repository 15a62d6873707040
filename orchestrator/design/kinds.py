"""What a study may ask for as its design: one settings class per kind of design, and the error for a design that cannot be had.

Owns names, defaults and limits that hold for any factors. Does not own how a design is made or whether the factors suit it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from hadamard.model.errors import UserError
from hadamard.model.settings import Settings
from hadamard.orchestrator.design.factors import Value


class DesignError(UserError):
    """The design cannot be made from these factors, or with this many rows."""


class Blocked(Settings):
    """What every design has: each row is run once in every split."""

    splits: Annotated[int, Field(ge=1)] = 5
    """Seeded draws of train, validation and test; the same ones serve every row, so they are blocks."""


class Centred(Blocked):
    """A design over the ends of numeric factors, to which rows in the very middle and in the middles of the faces may be added."""

    centre_points: Annotated[int, Field(ge=0)] = 0
    """Extra rows with every factor at its middle, which show curvature. Every factor must have a middle."""
    axial_points: bool = False
    """Extra rows with one factor at its low or high end and all others at their middles, which show which factor bends the response.

    Ends are those of the design itself (face-centred: Montgomery, Design and Analysis of Experiments, 8th ed., 11.4.2). Every factor must
    have a middle."""


class Foldable(Centred):
    """A two-level design that may be followed by its mirror image."""

    fold_over: bool = False
    """Repeat the design with all levels exchanged, which frees main effects from two-factor interactions."""


class FullFactorial(Centred):
    """Every combination of the factors' levels."""

    kind: Literal["full_factorial"]


class FractionalFactorial(Foldable):
    """The smallest regular fraction of the two-level factorial that has the resolution asked for."""

    kind: Literal["fractional_factorial"]
    resolution: Annotated[int, Field(ge=3, le=8)] = 4
    """3: main effects clear of each other; 4: also of two-factor interactions; 5: those also clear of each other."""


class PlackettBurman(Foldable):
    """Two levels, main effects in about as many rows as there are factors; interactions spread over all of them."""

    kind: Literal["plackett_burman"]


class DefinitiveScreening(Centred):
    """Three levels, main effects clear of two-factor interactions and curvature in 2k + 1 rows or a few more."""

    kind: Literal["definitive_screening"]


class LatinHypercube(Blocked):
    """Rows spread over the whole region, evenly along every single factor."""

    kind: Literal["latin_hypercube"]
    rows: Annotated[int, Field(ge=2)]


class Sobol(Blocked):
    """Rows spread over the whole region by a scrambled Sobol sequence: doubling the rows keeps the earlier ones."""

    kind: Literal["sobol"]
    rows: Annotated[int, Field(ge=2)]
    """A power of two: other sizes leave the sequence unbalanced."""

    @field_validator("rows")
    @classmethod
    def _power_of_two(cls, rows: int) -> int:
        below = 1 << (rows.bit_length() - 1)
        if rows != below:
            raise ValueError(f"a Sobol design needs a power of two as its rows, not {rows}; the nearest are {below} and {2 * below}")
        return rows


class DOptimal(Blocked):
    """The rows that estimate a stated model best (largest determinant of X'X), for any mix of factors and any number of rows."""

    kind: Literal["d_optimal"]
    rows: Annotated[int, Field(ge=2)]
    model: Literal["main", "interactions", "quadratic"] = "main"
    """`interactions` adds all two-factor interactions to the main effects; `quadratic` also the squares of numeric factors
    that are a range or have three levels or more."""


class OneAtATime(Blocked):
    """The first level of every factor, then each other level by itself; cheap to read, blind to interactions."""

    kind: Literal["one_at_a_time"]


class Explicit(Blocked):
    """Rows written out by hand."""

    kind: Literal["explicit"]
    rows: Annotated[list[dict[str, Value]], Field(min_length=1)]
    """A value for every factor, by its dotted path. A row may set other settings beside them, the same ones in every row: they change
    along with the factors, as layers that make up for qubits do, and get no effect of their own."""


DesignSettings = Annotated[
    FullFactorial | FractionalFactorial | PlackettBurman | DefinitiveScreening | LatinHypercube | Sobol | DOptimal | OneAtATime | Explicit,
    Field(discriminator="kind"),
]
