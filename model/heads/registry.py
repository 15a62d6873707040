"""All kinds of heads. A new one is a file or folder beside this one and a line here; nothing else names it."""

from __future__ import annotations

import functools
import operator
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from hadamard.model.heads.base import HeadSettings
from hadamard.model.lazy import load

_NAMES = (
    "quantum.settings:QuantumHead",
    "logistic:LogisticHead",
    "svc:SvcHead",
    "fourier:FourierHead",
    "mlp:MlpHead",
    "quadratic:QuadraticHead",
)
HEADS: tuple[type[HeadSettings], ...] = tuple(load(f"hadamard.model.heads.{name}") for name in _NAMES)
DEFAULT = HEADS[0]


def kind_name(head: type[HeadSettings]) -> str:
    """Return the name of a kind, the value of `kind` in a study."""
    (name,) = head.model_fields["kind"].annotation.__args__  # type: ignore[union-attr]
    return str(name)


def union_of(heads: tuple[type[HeadSettings], ...], default: type[HeadSettings] | None = None) -> Any:
    """Return the type of a setting that may be a head of any of these kinds; without `kind`, it is of the default kind, if there is one."""
    default_kind = default and kind_name(default)

    def kind(value: object) -> object:
        return value.get("kind", default_kind) if isinstance(value, dict) else getattr(value, "kind", None)

    tagged = (Annotated[head, Tag(kind_name(head))] for head in heads)
    return Annotated[functools.reduce(operator.or_, tagged), Discriminator(kind)]
