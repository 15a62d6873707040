"""What is imported when it is first used.

A plan reads the settings of heads and the registry of simulators, and must not take the seconds that torch takes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any


class LazyModule:
    """Stands for a module, which is imported at the first use of an attribute."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self._name), name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    import torch as torch
else:
    torch = LazyModule("torch")


def load(place: str) -> Any:
    """Return what a registry names by its place, `module:name`."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
