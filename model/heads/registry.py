"""All kinds of heads. A new one is a file or folder beside this one, and a line here; nothing else names it."""

from __future__ import annotations

import functools
import operator
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from hadamard.model.heads.base import HeadSettings
from hadamard.model.heads.fourier import FourierHead
from hadamard.model.heads.logistic import LogisticHead
from hadamard.model.heads.mlp import MlpHead
from hadamard.model.heads.quadratic import QuadraticHead
from hadamard.model.heads.quantum.settings import QuantumHead
from hadamard.model.heads.svc import SvcHead

HEADS: tuple[type[HeadSettings], ...] = (
    QuantumHead,
    LogisticHead,
    SvcHead,
    FourierHead,
    MlpHead,
    QuadraticHead,
)
DEFAULT = QuantumHead


def kind_name(head: type[HeadSettings]) -> str:
    """Return the name of a kind, as `kind` in a study."""
    (name,) = head.model_fields["kind"].annotation.__args__  # type: ignore[union-attr]
    return str(name)


def union_of(heads: tuple[type[HeadSettings], ...], default: type[HeadSettings] | None = None) -> Any:
    """Return the type of a setting that may be a head of any of these kinds; one without `kind` is of the default kind, if there is one."""

    def kind(given: object) -> object:
        without = default and kind_name(default)
        return given.get("kind", without) if isinstance(given, dict) else getattr(given, "kind", None)

    tagged = (Annotated[head, Tag(kind_name(head))] for head in heads)
    return Annotated[functools.reduce(operator.or_, tagged), Discriminator(kind)]
