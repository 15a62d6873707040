"""The names a study may give for its simulator.

Owns the list and its check, without importing torch or PennyLane, so that a study is checked in no time.
"""

from __future__ import annotations

import difflib

from model.errors import SettingsError

PENNYLANE_DEVICES = ("default.qubit", "lightning.qubit", "lightning.kokkos", "lightning.gpu")
ADJOINT_DEVICES = ("lightning.qubit", "lightning.kokkos", "lightning.gpu")
"""Devices differentiated by the adjoint method, which gives no gradient for the initial state."""
NAMES = ("auto", "torch", *PENNYLANE_DEVICES)


def check_name(name: str) -> None:
    """Raise a SettingsError that lists the valid names unless `name` is one of them."""
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise SettingsError(f"unknown simulator {name!r}.{hint} Choose one of: {', '.join(NAMES)}")


def resolve(name: str) -> str:
    """Return the simulator that a name stands for: `auto` is the fastest one that suits, today always `torch`."""
    return "torch" if name == "auto" else name
