"""Inference on this machine: every simulator at every size, and a classical head, as measured and saved in `measured.json`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from hadamard.cluster.allocation import detect
from hadamard.cluster.energy.choice import VARIABLE, why_not_measured
from hadamard.model.errors import UserError
from hadamard.model.settings import Settings
from hadamard.orchestrator.commands.crossover.inference import CLASSICAL, Inference, InferenceRequest, measure
from hadamard.orchestrator.commands.crossover.windows import Window, counting_meter
from hadamard.orchestrator.timing.comparison import VALUE_BOUND, Contestant
from hadamard.orchestrator.timing.machine import Machine, this_machine

THREADS = 1
"""Of every simulator: who has more cores can run as many inferences side by side."""
BATCH, MOST_AMPLITUDES = 16, 2**21
"""Sentences at once, and fewer where their states would be more than this many amplitudes: batches gain nothing there."""


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

    machine: Machine
    memory_bytes: Annotated[int, Field(gt=0)]
    """That may be used of this machine."""
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
            points = [point for point in self.points if (point.simulator, point.alone) == (name, alone) and point.second_module is not None]
            if points:
                yield (f"{name} (one by one)" if alone else name), points


def measure_all(
    contestants: Sequence[Contestant], alone: str, sizes: Sequence[int], limit_s: float, say: Callable[[str], None]
) -> Measured:
    """Measure every simulator at every size, one process after the other.

    A simulator that failed or took longer than the limit at a size is not tried at larger ones. One whose values are not those of
    the first that was measured at that size gets no numbers.

    Args:
        contestants: Their factories return passes (inference.py).
        alone: The simulator that is measured with one sentence at a time, too: a row of its own where others are batches.
        sizes: Qubits, in order.
        limit_s: What the first pass over a batch may take.
        say: Is told what is being measured.
    """
    meter, points, given_up = counting_meter(), [], set()
    why = "" if meter else why_not_measured() or f"{os.environ[VARIABLE]} models joules and counts none"
    say("classical head")
    classical = measure(InferenceRequest(factory=CLASSICAL, rows=BATCH, threads=THREADS, limit_s=limit_s))
    for qubits in sizes:
        expected: dict[int, Inference] = {}
        for contestant, rows, single in _batches(contestants, alone, rows_at(qubits)):
            if (contestant.name, single) in given_up:
                continue
            say(f"{qubits} qubits: {contestant.name}")
            request = InferenceRequest(
                factory=contestant.factory, arguments=contestant.arguments, qubits=qubits, rows=rows, threads=THREADS, limit_s=limit_s
            )
            inference = measure(request)
            if isinstance(inference, Inference) and _differ(inference, expected.setdefault(rows, inference)):
                inference = "its values are not those of the others"
            if isinstance(inference, str):
                given_up.add((contestant.name, single))
            points.append(_point(contestant.name, qubits, rows, single, inference))
    return Measured(
        machine=this_machine(),
        memory_bytes=detect().memory_bytes,
        threads=THREADS,
        meter=f"by {meter.method}: {', '.join(f'{counter.device} ({counter.scope})' for counter in meter.counters)}" if meter else None,
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


def rows_at(qubits: int) -> int:
    """Return the sentences of a batch."""
    return max(1, min(BATCH, MOST_AMPLITUDES >> qubits))


def _batches(contestants: Sequence[Contestant], alone: str, rows: int) -> Iterator[tuple[Contestant, int, bool]]:
    for contestant in contestants:
        yield contestant, rows, False
        if contestant.name == alone and rows > 1:
            yield contestant, 1, True


def _point(name: str, qubits: int, rows: int, alone: bool, inference: Inference | str) -> Point:
    if isinstance(inference, str):
        return Point(simulator=name, qubits=qubits, rows=rows, alone=alone, why=inference)
    head, second_module = inference.head, inference.second_module
    return Point(simulator=name, qubits=qubits, rows=rows, alone=alone, on_gpu=inference.on_gpu, head=head, second_module=second_module)


def _differ(inference: Inference, expected: Inference) -> bool:
    """Whether values are other than expected, as NaN always is."""
    return not all(abs(ours - theirs) <= VALUE_BOUND for ours, theirs in zip(inference.values, expected.values, strict=True))
