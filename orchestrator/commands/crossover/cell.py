"""One cell of the measurement: inference by one simulator at one size, timed and metered in a process of its own.

Owns windows: their clocks, their joules, and how long they last. Does not own what is computed, nor which cells there are.
"""

from __future__ import annotations

import gc
import json
import signal
import statistics
import sys
import time
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from hadamard.cluster.energy.base import SHORTEST_WINDOW_S, Meter, MeterError, used_j
from hadamard.cluster.energy.choice import open_meter
from hadamard.model.settings import Settings
from hadamard.orchestrator.commands.bench.cases import paper_head
from hadamard.orchestrator.commands.bench.cell import hold_to, in_own_process
from hadamard.orchestrator.commands.crossover.inference import Pass, logistic, prepare

BESIDES_S = 60.0
"""What a process may take besides the limit of its passes and its windows: imports, and drawing its case."""
UNMETERED_WINDOW_S, FEWEST_PASSES = 1.0, 3
"""A window that nothing meters: it ends with the first pass after so long, if there were so many."""
LOGISTIC = "logistic regression"


class Cell(Settings):
    """What to measure."""

    simulator: str
    """As `hadamard bench` names it, or `logistic regression`, which has no qubits."""
    qubits: int
    rows: int
    """Sentences of a batch."""
    threads: int
    limit_s: float
    """What the first pass over the batch may take."""


class Window(Settings):
    """What one sentence took, of a window of passes one after the other."""

    cpu_s: float
    """Process CPU seconds, all threads together, of the median pass."""
    wall_s: float
    """By the clock, of the median pass."""
    passes: int
    window_s: float
    """How long the window lasted."""
    joules: float | None
    """By counters, of the whole window divided by its sentences; None where it was not measured."""


class Found(Settings):
    """What a cell's process found."""

    values: tuple[Annotated[float, Field(allow_inf_nan=True)], ...]
    """Of the batch, to be compared with those of other simulators; for the classical head, classes."""
    head: Window
    second_module: Window | None
    on_gpu: bool


def measure(cell: Cell) -> Found | str:
    """Measure a cell in its own process; return why there is no measurement where there is none."""
    windows_s = 2 * max(2 * SHORTEST_WINDOW_S, cell.limit_s)
    found = in_own_process(__name__, cell.model_dump(), cell.threads, cell.limit_s, BESIDES_S + windows_s)
    return found if isinstance(found, str) else Found.model_validate_json(json.dumps(found))


def window(one_pass: Pass, rows: int, meter: Meter | None, gpu: bool, shortest_s: float, most_s: float) -> Window:
    """Repeat a pass and return what each sentence of it took.

    Args:
        one_pass: Takes all rows of a batch.
        rows: Of a batch.
        meter: The node's, which must not be one that models from CPU seconds; None: nothing is metered.
        gpu: Whether a GPU does it: its joules count then, and not those of the node's cores.
        shortest_s: How long to go on at least, if a pass does not take longer.
        most_s: No pass but the first begins after so long, however few there were.
    """
    took: list[tuple[float, float]] = []
    before, began = _read(meter), time.perf_counter()
    while True:
        cpu, wall = time.process_time(), time.perf_counter()
        one_pass()
        took.append((time.process_time() - cpu, time.perf_counter() - wall))
        spent = time.perf_counter() - began
        if spent >= most_s or (spent >= shortest_s and len(took) >= FEWEST_PASSES):
            break
    joules = _used_j(meter, before, _read(meter), gpu)
    cpu_s, wall_s = (statistics.median(clock) / rows for clock in zip(*took, strict=True))
    each = None if joules is None else joules / (rows * len(took))
    return Window(cpu_s=cpu_s, wall_s=wall_s, passes=len(took), window_s=spent, joules=each)


def counting_meter() -> Meter | None:
    """Return this node's meter if it counts, by hardware or from a record; None if it has none or only a model."""
    meter = open_meter()
    return None if meter is None or meter.method == "modelled" else meter


def _read(meter: Meter | None) -> tuple[float, ...] | None:
    try:
        return None if meter is None else meter.read()
    except MeterError:
        return None


def _used_j(meter: Meter | None, before: tuple[float, ...] | None, after: tuple[float, ...] | None, gpu: bool) -> float | None:
    """Return the joules of the kind of device that did it; None where they were not read, or several devices could be meant."""
    if meter is None or before is None or after is None:
        return None
    used = [joules for device, joules in used_j(meter.counters, before, after).items() if device.startswith("gpu") == gpu]
    return used[0] if len(used) == 1 else None


def _measure(cell: Cell) -> Found:
    """Measure in this process; it ends by SIGALRM where the first pass takes longer than the limit."""
    hold_to(cell.threads)
    signal.setitimer(signal.ITIMER_REAL, cell.limit_s + BESIDES_S)
    parts: list[Pass]
    if cell.simulator == LOGISTIC:
        parts = [logistic(cell.rows)]
    else:
        passes = prepare(cell.simulator, paper_head(cell.qubits, cell.rows))
        parts = [passes.head, passes.second_module]
    gc.collect()
    gc.freeze()  # or the garbage of a pass of Python objects has all of torch and PennyLane looked through again
    signal.setitimer(signal.ITIMER_REAL, cell.limit_s)
    began = time.perf_counter()
    values = np.asarray(parts[0](), dtype=np.float64)
    slow = time.perf_counter() - began > cell.limit_s / 4
    signal.setitimer(signal.ITIMER_REAL, 0)
    meter = counting_meter()
    gpu = _on_gpu()
    shortest_s = UNMETERED_WINDOW_S if meter is None else SHORTEST_WINDOW_S
    windows = [window(part, cell.rows, meter, gpu, shortest_s, shortest_s if slow else 2 * shortest_s) for part in parts]
    return Found(values=tuple(values.tolist()), head=windows[0], second_module=windows[1] if len(windows) > 1 else None, on_gpu=gpu)


def _on_gpu() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()


def _main(arguments: str) -> dict[str, Any]:
    return _measure(Cell.model_validate_json(arguments)).model_dump()


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1])))
