"""One training step of the paper's head, timed in a process of its own: seconds, memory, and the numbers that it computed."""

from __future__ import annotations

import contextlib
import gc
import json
import signal
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hadamard.model.lazy import load
from hadamard.model.settings import Settings
from hadamard.orchestrator.timing.own_process import in_own_process, limit_resources
from hadamard.orchestrator.timing.paper_head import Array, Step, paper_head

START_S = 60.0
"""What a process may take, besides its limit, to import, to draw its case and to compile."""
FEWEST_STEPS, MOST_STEPS, ENOUGH_S, MOST_S = 3, 1000, 0.4, 3.0
"""How many steps follow the first one, and for how long: none begins after the last of these times."""


@dataclass(frozen=True)
class Answer:
    """What a step computes: values [rows], and the gradients by the encoder's and the second module's weights."""

    values: Array
    encoder_gradient: Array
    second_gradient: Array

    def errors(self, reference: Answer) -> tuple[float, float]:
        """Return the largest absolute error of the values and that of the gradients; NaN where any number here is none."""
        gradients = np.concatenate([self.encoder_gradient - reference.encoder_gradient, self.second_gradient - reference.second_gradient])
        return float(np.abs(self.values - reference.values).max()), float(np.abs(gradients).max())


class Timing(Settings):
    """How long a step took and what it held."""

    cpu_s: float
    """Median process CPU seconds of a step, of all threads together."""
    wall_s: float
    """Median seconds of a step by the clock."""
    steps: int
    """How many were timed: after a first one, unless that took a quarter of the limit; then it is the only one."""
    prepare_s: float
    """CPU seconds before the first step, compiling included."""
    extra_bytes: int | None
    """Peak memory of the first step, above what imports, inputs and compiling took; None where it is not known."""
    on_gpu: bool
    """Whether a GPU did it: CPU seconds mean little then, and memory is the GPU's."""


class StepRequest(Settings):
    """A step to be timed."""

    factory: str
    """`module:function`, called with a case and `arguments`; returns its step, ready to be timed."""
    arguments: tuple[str, ...] = ()
    qubits: int
    rows: int
    threads: int
    limit_s: float
    """What the first step may take."""
    repeated: bool = True
    """False: the first step is all that is needed."""


def time_step(request: StepRequest) -> tuple[Answer, Timing] | str:
    """Time a step in its own process; return why there is no measurement where there is none."""
    result = in_own_process(__name__, request.model_dump(), request.threads, request.limit_s, START_S)
    if isinstance(result, str):
        return result
    return Answer(*(np.array(part) for part in result["answer"])), Timing(**result["timing"])


def _measure(request: StepRequest) -> dict[str, Any]:
    """Measure in this process; it ends by SIGALRM where the first step takes longer than the limit."""
    limit_resources(request.threads)
    case = paper_head(request.qubits, request.rows)
    began = time.process_time()
    step: Step = load(request.factory)(case, *request.arguments)
    prepare_s = time.process_time() - began
    gc.collect()
    gc.freeze()  # or the garbage of a step of Python objects has all of torch and PennyLane looked through again
    peak = _Peak()
    signal.setitimer(signal.ITIMER_REAL, request.limit_s)
    began_cpu, began_wall = time.process_time(), time.perf_counter()
    parts = step()
    first = (time.process_time() - began_cpu, time.perf_counter() - began_wall)
    signal.setitimer(signal.ITIMER_REAL, 0)
    extra_bytes = peak.extra_bytes()
    repeated = _repeat(step) if request.repeated and first[1] <= request.limit_s / 4 else []
    cpu_s, wall_s = (statistics.median(clock) for clock in zip(*(repeated or [first]), strict=True))
    timing = Timing(
        cpu_s=cpu_s,
        wall_s=wall_s,
        steps=max(len(repeated), 1),
        prepare_s=prepare_s,
        extra_bytes=extra_bytes,
        on_gpu=peak.on_gpu,
    )
    return {"answer": [np.asarray(part, dtype=np.float64).tolist() for part in parts], "timing": timing.model_dump()}


def _repeat(step: Step) -> list[tuple[float, float]]:
    """Return CPU and clock seconds of each repetition."""
    times: list[tuple[float, float]] = []
    start = time.perf_counter()
    while len(times) < MOST_STEPS:
        began_cpu, began_wall = time.process_time(), time.perf_counter()
        step()
        times.append((time.process_time() - began_cpu, time.perf_counter() - began_wall))
        elapsed_s = time.perf_counter() - start
        if elapsed_s > MOST_S or (elapsed_s > ENOUGH_S and len(times) >= FEWEST_STEPS):
            break
    return times


class _Peak:
    """The peak of memory from now on: of the GPU if torch has begun to use one, else of this process."""

    def __init__(self) -> None:
        torch = sys.modules.get("torch")
        self._gpu: Any = torch.cuda if torch is not None and torch.cuda.is_initialized() else None
        self.on_gpu = self._gpu is not None
        if self._gpu is not None:
            self._gpu.reset_peak_memory_stats()
        else:
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")  # the kernel forgets the peak so far
        self._before = self._bytes("VmRSS")

    def extra_bytes(self) -> int | None:
        """Return how far the peak rose above what was held at the beginning."""
        peak = self._bytes("VmHWM")
        return None if peak is None or self._before is None else peak - self._before

    def _bytes(self, field: str) -> int | None:
        if self._gpu is not None:
            return int(self._gpu.memory_allocated() if field == "VmRSS" else self._gpu.max_memory_allocated())
        try:
            status = Path("/proc/self/status").read_text()
        except OSError:
            return None
        return 1024 * int(status.split(f"{field}:")[1].split()[0])


if __name__ == "__main__":
    print(json.dumps(_measure(StepRequest.model_validate_json(sys.argv[1]))))
