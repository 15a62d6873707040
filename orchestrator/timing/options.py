"""The options that `hadamard bench` and `hadamard energy` share, and their line of progress."""

from __future__ import annotations

import sys

from hadamard.model.errors import SettingsError
from hadamard.orchestrator.timing.paper_head import FEWEST_QUBITS


def sizes_in(qubits: str) -> list[int]:
    """Return the sizes that `--qubits` names, in order.

    Raises:
        SettingsError: One is no number, or too small for the paper's head.
    """
    words = names_in(qubits)
    if wrong := [word for word in words if not word.isdecimal()] or [qubits] * (not words):
        raise SettingsError(f"--qubits {qubits}: {wrong[0]!r} is no number of qubits; write sizes with commas, such as 6,10,14")
    sizes = sorted({int(word) for word in words})
    if sizes[0] < FEWEST_QUBITS:
        raise SettingsError(f"--qubits {sizes[0]}: the head's rings of distance 1 and 2 need at least {FEWEST_QUBITS} qubits")
    return sizes


def names_in(words: str) -> list[str]:
    """Return what an option lists, separated by commas."""
    return [word.strip() for word in words.split(",") if word.strip()]


def say(words: str) -> None:
    """Say on a terminal what is being done, on a line that is written over; an empty one wipes it."""
    if sys.stderr.isatty():
        print(f"\r{words:<60}", end="" if words else "\r", file=sys.stderr, flush=True)
