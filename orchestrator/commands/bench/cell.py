"""One cell of the benchmark: a contestant at a size, timed in a process of its own that has just so many cores.

Owns the clock, the peak of memory, and the process around them. Does not own what is computed, nor whether the numbers are right.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hadamard.cluster.allocation import detect
from hadamard.model.simulators.hardware import gpu_in_sight
from hadamard.orchestrator.commands.bench.cases import Array, Step, paper_head
from hadamard.orchestrator.commands.bench.contestants import BY_NAME, REFERENCE, prepare

START_S = 60.0
"""What a process may take, besides its limit, to import, to draw its case and to compile."""
STEPS, ENOUGH_S, MOST_S = (3, 1000), 0.4, 3.0
"""After a first step others follow: so many at least and at most, for a while, and none begins after the last of these times."""


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


@dataclass(frozen=True)
class Timing:
    """How long a step took and what it held.

    Attributes:
        cpu_s: Median process CPU seconds of a step, of all threads together.
        wall_s: Median seconds of a step by the clock.
        steps: How many were timed. After a first one, unless that took a quarter of the limit: then it is the one.
        compile_s: CPU seconds to compile the case; None where nothing is compiled.
        extra_bytes: Peak resident memory of the first step, above what imports, inputs and compiling took; None where it is not known.
        on_gpu: Whether a GPU did it: CPU seconds mean little then, and memory is the GPU's.
    """

    cpu_s: float
    wall_s: float
    steps: int
    compile_s: float | None
    extra_bytes: int | None
    on_gpu: bool


@dataclass(frozen=True)
class Cell:
    """A contestant (or the reference) at one size."""

    name: str
    qubits: int
    rows: int
    threads: int
    limit_s: float


def run(cell: Cell) -> tuple[Answer, Timing] | str:
    """Measure a cell in its own process; return why there is no measurement where there is none."""
    found = in_own_process("hadamard.orchestrator.commands.bench.cell", asdict(cell), cell.threads, cell.limit_s, START_S)
    if isinstance(found, str):
        return found
    return Answer(*(np.array(part) for part in found["answer"])), Timing(**found["timing"])


def in_own_process(module: str, arguments: dict[str, Any], threads: int, limit_s: float, besides_s: float) -> dict[str, Any] | str:
    """Run a module on arguments in JSON, held to so many threads; return the JSON that it prints last, or why there is none.

    Args:
        module: Holds itself to its limit by an alarm: SIGALRM ends it.
        arguments: What it is to do.
        threads: For every library that asks the environment.
        limit_s: As told to the user.
        besides_s: What it may take besides, after which it is ended.
    """
    command = [sys.executable, "-W", "ignore", "-m", module, json.dumps(arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=_environment(threads), timeout=besides_s + limit_s)
    except subprocess.TimeoutExpired:
        return f"more than {limit_s:g} s"
    if done.returncode == -signal.SIGALRM:
        return f"more than {limit_s:g} s"
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return f"failed: {said[-1][:200] if said else f'exit code {done.returncode}'}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def hold_to(threads: int) -> None:
    """Hold this process to so many cores and to the memory that is there."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])  # some keep threads that no variable holds back
    if not gpu_in_sight():  # a case too large for memory shall fail here, and not have the kernel choose who dies
        resource.setrlimit(resource.RLIMIT_DATA, (detect().memory_bytes, resource.RLIM_INFINITY))


def _environment(threads: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "QULACS_NUM_THREADS")
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" if threads == 1 else ""
    jax = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    return {**os.environ, **{name: str(threads) for name in names}, **jax, "OMP_PROC_BIND": "false", "PYTHONSAFEPATH": "1"}


def _measure(cell: Cell) -> dict[str, Any]:
    """Measure in this process; it ends by SIGALRM where the first step takes longer than the limit."""
    hold_to(cell.threads)
    case = paper_head(cell.qubits, cell.rows)
    began = time.process_time()
    step = prepare(cell.name, case)
    prepared_s = time.process_time() - began
    gc.collect()
    gc.freeze()  # or the garbage of a step of Python objects has all of torch and PennyLane looked through again
    peak = _Peak()
    signal.setitimer(signal.ITIMER_REAL, cell.limit_s)
    began_cpu, began_wall = time.process_time(), time.perf_counter()
    parts = step()
    first = (time.process_time() - began_cpu, time.perf_counter() - began_wall)
    signal.setitimer(signal.ITIMER_REAL, 0)
    extra_bytes = peak.extra_bytes()
    repeated = [] if cell.name == REFERENCE or first[1] > cell.limit_s / 4 else _repeat(step)
    cpu_s, wall_s = (statistics.median(clock) for clock in zip(*(repeated or [first]), strict=True))
    compile_s = prepared_s if cell.name in BY_NAME and BY_NAME[cell.name].compiles else None
    return {
        "answer": [np.asarray(part, dtype=np.float64).tolist() for part in parts],
        "timing": asdict(Timing(cpu_s, wall_s, max(len(repeated), 1), compile_s, extra_bytes, peak.on_gpu)),
    }


def _repeat(step: Step) -> list[tuple[float, float]]:
    """Return CPU and clock seconds of each repetition."""
    took: list[tuple[float, float]] = []
    start = time.perf_counter()
    while len(took) < STEPS[1]:
        began_cpu, began_wall = time.process_time(), time.perf_counter()
        step()
        took.append((time.process_time() - began_cpu, time.perf_counter() - began_wall))
        spent = time.perf_counter() - start
        if spent > MOST_S or (spent > ENOUGH_S and len(took) >= STEPS[0]):
            break
    return took


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
        self._before = self._held("VmRSS")

    def extra_bytes(self) -> int | None:
        """Return how far the peak rose above what was held at the beginning."""
        peak = self._held("VmHWM")
        return None if peak is None or self._before is None else peak - self._before

    def _held(self, field: str) -> int | None:
        if self._gpu is not None:
            return int(self._gpu.memory_allocated() if field == "VmRSS" else self._gpu.max_memory_allocated())
        try:
            status = Path("/proc/self/status").read_text()
        except OSError:
            return None
        return 1024 * int(status.split(f"{field}:")[1].split()[0])


if __name__ == "__main__":
    print(json.dumps(_measure(Cell(**json.loads(sys.argv[1])))))
