"""`hadamard bench` from its options to what is printed.

Owns reading the options and what is said meanwhile. Does not own measuring or layout.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

from hadamard.cluster.allocation import detect
from hadamard.model.errors import SettingsError
from hadamard.model.files.atomic import why_not_writable
from hadamard.orchestrator.commands.bench import machine, show
from hadamard.orchestrator.commands.bench.cases import FEWEST_QUBITS, least_bytes
from hadamard.orchestrator.commands.bench.comparison import compare
from hadamard.orchestrator.commands.bench.contestants import chosen
from hadamard.orchestrator.formats import count


@dataclass(frozen=True)
class Outcome:
    """What to print, and whether every number was right."""

    text: str
    right: bool


def bench(qubits: str, rows: int, simulators: str, threads: int, limit_s: float, directory: Path, as_json: bool) -> Outcome:
    """Compare the simulators and draw `bench.png`.

    Args:
        qubits: Sizes, separated by commas.
        rows: Size of the batch.
        simulators: Names, separated by commas; empty for all.
        threads: For each contestant.
        limit_s: What a contestant's first step may take.
        directory: Where the picture goes.
        as_json: Whether JSON is wanted.

    Raises:
        SettingsError: A name or size that is not possible here.
    """
    contestants = chosen([name.strip() for name in simulators.split(",") if name.strip()])
    sizes = _sizes(qubits, rows)
    _check_threads(threads)
    if why := why_not_writable(directory):
        raise SettingsError(f"--out {directory}: {why}")
    comparison = compare(contestants, sizes, rows, threads, limit_s, machine.gemm_rate(), machine.description(), say)
    say("")
    picture = show.draw(comparison, directory)
    text = show.as_json(comparison) if as_json else f"{show.as_text(comparison)}\npicture: {picture}\n"
    return Outcome(text, not comparison.wrong)


def sizes_in(qubits: str) -> list[int]:
    """Return the sizes that `--qubits` names, in order.

    Raises:
        SettingsError: One is no number, or too small for the paper's head.
    """
    words = [word.strip() for word in qubits.split(",")]
    if wrong := [word for word in words if not word.isdecimal()]:
        raise SettingsError(f"--qubits {qubits}: {wrong[0]!r} is no number of qubits; write sizes with commas, such as 6,10,14")
    sizes = sorted({int(word) for word in words})
    if sizes[0] < FEWEST_QUBITS:
        raise SettingsError(f"--qubits {sizes[0]}: the head's rings of distance 1 and 2 need at least {FEWEST_QUBITS} qubits")
    return sizes


def _sizes(qubits: str, rows: int) -> list[int]:
    """Return the sizes in order; refuse those that cannot be measured here, before anything is."""
    sizes, memory_bytes = sizes_in(qubits), detect().memory_bytes
    most = next(size for size in itertools.count(FEWEST_QUBITS - 1) if least_bytes(size + 1, rows) > memory_bytes)
    if sizes[-1] > most:
        raise SettingsError(
            f"--qubits {sizes[-1]}: {memory_bytes / 2**30:.1f} GiB of memory hold up to {most} qubits of --batch {rows}, gradient included"
        )
    return sizes


def _check_threads(threads: int) -> None:
    cores = detect().cpus
    if threads > cores:
        raise SettingsError(f"--threads {threads}: {count(cores, 'core')} can be used here; times of more threads than cores mean nothing")


def say(words: str) -> None:
    """Say on a terminal what is being done, on a line that is written over; an empty one wipes it."""
    if sys.stderr.isatty():
        print(f"\r{words:<60}", end="" if words else "\r", file=sys.stderr, flush=True)
