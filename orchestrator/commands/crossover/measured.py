"""Inference of the paper's head on this machine: every simulator at every size, and a classical head, as it was measured and saved.

Owns which cells there are, when a simulator is given up, and the file. Does not own clocks (cell.py), nor what is made of the numbers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from hadamard.cluster.allocation import detect
from hadamard.cluster.energy.choice import VARIABLE, why_not_measured
from hadamard.model.errors import UserError
from hadamard.model.settings import Settings
from hadamard.orchestrator.commands.bench import machine
from hadamard.orchestrator.commands.bench.comparison import VALUE_BOUND
from hadamard.orchestrator.commands.bench.contestants import BASELINE, BY_NAME, why_absent
from hadamard.orchestrator.commands.crossover.cell import LOGISTIC, Cell, Found, Window, counting_meter, measure

SIMULATORS = ("compiled", "triton", "fused", BASELINE)
"""Those measured unless others are asked for."""
LIGHTNING = ("lightning.qubit", "lightning.kokkos")
"""Peers that can be asked for, as tapes given straight to the device."""
ALONE = "compiled"
"""Measured with one sentence at a time, too: a row of its own where others are batches."""
THREADS = 1
"""Of every simulator: who has more cores can run as many inferences side by side."""
BATCH, MOST_AMPLITUDES = 16, 2**21
"""Sentences at once, and fewer where their states would be more than so many amplitudes: batches gain nothing there."""


class Point(Settings):
    """One simulator at one size."""

    simulator: str
    qubits: int
    rows: int
    """Sentences at once."""
    alone: bool
    """Whether it was measured to see what one sentence at a time takes."""
    on_gpu: bool = False
    head: Window | None = None
    second_module: Window | None = None
    why: str = ""
    """Why there are no windows where there are none."""


class Measured(Settings):
    """All points, with where and how they were measured."""

    machine: dict[str, Any]
    memory_bytes: Annotated[int, Field(gt=0)]
    """Of this machine, or of what we were given of it."""
    threads: int
    meter: str | None
    """By which method and from what joules were read; None: they were not measured."""
    why_no_meter: str
    points: tuple[Point, ...]
    logistic: Window | None
    """The classical head, one sentence of a batch."""

    @property
    def metered(self) -> bool:
        """Whether joules were read."""
        return self.meter is not None

    def series(self) -> Iterator[tuple[str, list[Point]]]:
        """Yield each simulator's name, with ` (one by one)` where it was given one sentence at a time, and its points that have numbers."""
        for name, alone in dict.fromkeys((point.simulator, point.alone) for point in self.points):
            points = [one for one in self.points if (one.simulator, one.alone) == (name, alone) and one.second_module is not None]
            if points:
                yield (f"{name} (one by one)" if alone else name), points


def chosen(names: Sequence[str]) -> list[str]:
    """Return the simulators of these names; without any, those that are usually measured and can be had here.

    Raises:
        UserError: A name is none that can be measured, or not on this machine.
    """
    if not names:
        return [name for name in SIMULATORS if why_absent(BY_NAME[name]) is None]
    known = [name for name, one in BY_NAME.items() if one.package is None or name in LIGHTNING]
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"--simulators: {', '.join(unknown)} cannot be measured; those that can are {', '.join(known)}")
    for name in names:
        if why := why_absent(BY_NAME[name]):
            raise UserError(f"--simulators: {name}: {why}")
    return list(names)


def measure_all(simulators: Sequence[str], sizes: Sequence[int], limit_s: float, say: Callable[[str], None]) -> Measured:
    """Measure every simulator at every size, one process after the other.

    A simulator that failed or took longer than the limit at a size is not tried at larger ones. One whose values are not those of
    the first that was measured at that size gets no numbers.

    Args:
        simulators: By name.
        sizes: Qubits, in order.
        limit_s: What the first pass over a batch may take.
        say: Is told what is being measured.
    """
    meter, points, given_up = counting_meter(), [], set()
    why = "" if meter else why_not_measured() or f"{os.environ[VARIABLE]} models joules and counts none"
    say(LOGISTIC)
    classical = measure(Cell(simulator=LOGISTIC, qubits=0, rows=BATCH, threads=THREADS, limit_s=limit_s))
    for qubits in sizes:
        expected: dict[int, Found] = {}
        for name, rows, alone in _cells(simulators, qubits):
            if (name, alone) in given_up:
                continue
            say(f"{qubits} qubits: {name}")
            found = measure(Cell(simulator=name, qubits=qubits, rows=rows, threads=THREADS, limit_s=limit_s))
            if isinstance(found, Found) and _differ(found, expected.setdefault(rows, found)):
                found = "its values are not those of the others"
            if isinstance(found, str):
                given_up.add((name, alone))
            points.append(_point(name, qubits, rows, alone, found))
    return Measured(
        machine=machine.description(),
        memory_bytes=detect().memory_bytes,
        threads=THREADS,
        meter=f"by {meter.method}: {', '.join(f'{one.device} ({one.scope})' for one in meter.counters)}" if meter else None,
        why_no_meter=why,
        points=tuple(points),
        logistic=None if isinstance(classical, str) else classical.head,
    )


def read_measured(path: Path) -> Measured:
    """Return what an earlier run saved.

    Raises:
        UserError: The file cannot be read, or is none.
    """
    try:
        return Measured.model_validate_json(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--from {path}: cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"--from {path}: {where}: {first['msg']}. Give the measured.json that `hadamard energy` wrote") from error


def stated_watts(environment: Mapping[str, str] = os.environ) -> float | None:
    """Return the watts of a busy core that HADAMARD_ENERGY=modelled:WATTS states; None where it says something else."""
    kind, _, watts = environment.get(VARIABLE, "").partition(":")
    return float(watts) if kind == "modelled" else None


def rows_at(qubits: int) -> int:
    """Return how many sentences are given at once."""
    return max(1, min(BATCH, MOST_AMPLITUDES >> qubits))


def _cells(simulators: Sequence[str], qubits: int) -> Iterator[tuple[str, int, bool]]:
    rows = rows_at(qubits)
    for name in simulators:
        yield name, rows, False
        if name == ALONE and rows > 1:
            yield name, 1, True


def _point(name: str, qubits: int, rows: int, alone: bool, found: Found | str) -> Point:
    if isinstance(found, str):
        return Point(simulator=name, qubits=qubits, rows=rows, alone=alone, why=found)
    head, second_module = found.head, found.second_module
    return Point(simulator=name, qubits=qubits, rows=rows, alone=alone, on_gpu=found.on_gpu, head=head, second_module=second_module)


def _differ(found: Found, expected: Found) -> bool:
    return not all(abs(one - other) <= VALUE_BOUND for one, other in zip(found.values, expected.values, strict=True))  # as NaN never is
