"""All kinds of designs. A new one is a module in `kinds/` and a line here; nothing else names it."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field, TypeAdapter

from hadamard.model.lazy import load
from hadamard.orchestrator.design.base import DesignSettings
from hadamard.orchestrator.design.factors import Value

_NAMES = (
    "full_factorial:FullFactorial",
    "fractional_factorial:FractionalFactorial",
    "plackett_burman:PlackettBurman",
    "definitive_screening:DefinitiveScreening",
    "latin_hypercube:LatinHypercube",
    "sobol:Sobol",
    "d_optimal:DOptimal",
    "one_at_a_time:OneAtATime",
    "explicit:Explicit",
)
KINDS: tuple[type[DesignSettings], ...] = tuple(load(f"hadamard.orchestrator.design.kinds.{name}") for name in _NAMES)

if TYPE_CHECKING:
    AnyDesign: TypeAlias = DesignSettings
else:
    AnyDesign = Annotated[functools.reduce(operator.or_, KINDS), Field(discriminator="kind")]


def kind_name(kind: type[DesignSettings]) -> str:
    """Return the name of a kind, as `kind` in a study."""
    (name,) = kind.model_fields["kind"].annotation.__args__  # type: ignore[union-attr]
    return str(name)


def design_settings(content: Mapping[str, Any]) -> DesignSettings:
    """Return the settings of a design as a study file writes them; raises pydantic's ValidationError where they are not valid."""
    return TypeAdapter[DesignSettings](AnyDesign).validate_python(content)


def explicit_design(rows: Sequence[Mapping[str, Value]], splits: int) -> dict[str, Any]:
    """Return, as a study file writes it, the design that consists of these rows, each a value by dotted path."""
    return {"kind": "explicit", "splits": splits, "rows": [dict(row) for row in rows]}
