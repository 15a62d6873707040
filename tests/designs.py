"""Designs as study files ask for them."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from orchestrator.design.kinds import DesignSettings

_ADAPTER: TypeAdapter[DesignSettings] = TypeAdapter(DesignSettings)


def asked(kind: str, **settings: Any) -> DesignSettings:
    """Return the settings of the kind of design that a study file asks for."""
    return _ADAPTER.validate_python({"kind": kind, **settings})
