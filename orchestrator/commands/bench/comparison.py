"""The benchmark of the simulators: every contestant at every size, its numbers checked before its time counts.

Owns the order of measuring, the bounds on errors, and the ratios. Does not own the clock, nor how a comparison is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hadamard.model.errors import SettingsError
from hadamard.model.simulators.select import resolve
from hadamard.orchestrator.commands.bench.cases import circuits, step_flop
from hadamard.orchestrator.commands.bench.cell import Answer, Cell, Timing, run
from hadamard.orchestrator.commands.bench.contestants import REFERENCE, Contestant, why_absent
from hadamard.orchestrator.commands.bench.machine import GemmRate

VALUE_BOUND, GRADIENT_BOUND = 1e-5, 1e-4
"""Largest errors that count as right, of single precision."""
UNLIMITED_S = 24 * 3600.0
Status = Literal["measured", "wrong", "absent", "stopped"]


@dataclass(frozen=True)
class Result:
    """What is known of a contestant at a size.

    Attributes:
        name: The contestant's.
        qubits: The size.
        status: `measured`; `wrong`: its numbers are not the reference's, so its time does not count; `absent`: cannot run here;
            `stopped`: took too long or failed.
        why: In words, where it is not measured.
        timing: Where it is measured.
        value_error: Largest error of a value, absolute; None where there are no numbers.
        gradient_error: Largest error of a gradient, absolute.
        gemm_share: Useful flop per second over the machine's rate; for our own on the CPU alone.
    """

    name: str
    qubits: int
    status: Status
    why: str = ""
    timing: Timing | None = None
    value_error: float | None = None
    gradient_error: float | None = None
    gemm_share: float | None = None


@dataclass(frozen=True)
class Comparison:
    """All results, sizes in order, with what they were measured on.

    Attributes:
        ours: What `simulator: auto` chooses, by qubits.
    """

    results: tuple[Result, ...]
    ours: dict[int, str]
    rows: int
    threads: int
    gemm: GemmRate
    machine: dict[str, Any]

    def seconds(self, result: Result) -> float | None:
        """Return the seconds of a step: of CPU where one thread did it, by the clock where several or a GPU did."""
        if result.timing is None:
            return None
        return result.timing.wall_s if self.threads > 1 or result.timing.on_gpu else result.timing.cpu_s

    def faster(self, one: Result, name: str) -> float | None:
        """Return how many times faster one is than the named contestant at its size; None if either is not measured."""
        own = self.seconds(one)
        other = next((self.seconds(other) for other in self.results if (other.name, other.qubits) == (name, one.qubits)), None)
        return other / own if own is not None and other is not None else None

    def ours_faster(self, one: Result) -> float | None:
        """Return how many times faster than one our own is, as auto chooses; None if either is not measured."""
        factor = self.faster(one, self.ours[one.qubits])
        return 1 / factor if factor is not None else None

    @property
    def wrong(self) -> bool:
        """Whether anybody's numbers are wrong."""
        return any(result.status == "wrong" for result in self.results)


def compare(
    contestants: Sequence[Contestant],
    sizes: Sequence[int],
    rows: int,
    threads: int,
    limit_s: float,
    gemm: GemmRate,
    machine: dict[str, Any],
    say: Callable[[str], None],
) -> Comparison:
    """Measure everything, one process after the other; `say` is told what is being measured, never a time."""
    results: list[Result] = []
    ours: dict[int, str] = {}
    for qubits in sizes:
        ours[qubits] = resolve("auto", circuits(qubits)).name
        say(f"{qubits} qubits: {REFERENCE}")
        reference = run(Cell(REFERENCE, qubits, rows, 1, UNLIMITED_S))
        if isinstance(reference, str):
            raise SettingsError(f"--qubits {qubits}: the reference {reference}; take a smaller --batch or fewer qubits")
        for contestant in contestants:
            say(f"{qubits} qubits: {contestant.name}")
            cell = Cell(contestant.name, qubits, rows, threads, limit_s)
            results.append(_result(contestant, cell, reference[0], least_s=step_flop(qubits, rows) / gemm.flop_per_s))
    return Comparison(tuple(results), ours, rows, threads, gemm, machine)


def _result(contestant: Contestant, cell: Cell, reference: Answer, least_s: float) -> Result:
    if why := why_absent(contestant):
        return Result(cell.name, cell.qubits, "absent", why)
    measured = run(cell)
    if isinstance(measured, str):
        return Result(cell.name, cell.qubits, "stopped", measured)
    answer, timing = measured
    value_error, gradient_error = answer.errors(reference)
    if not (value_error <= VALUE_BOUND and gradient_error <= GRADIENT_BOUND):  # NaN is never within a bound
        return Result(cell.name, cell.qubits, "wrong", "its numbers are not those of the reference", None, value_error, gradient_error)
    share = least_s / timing.cpu_s if contestant.package is None and not timing.on_gpu else None
    return Result(cell.name, cell.qubits, "measured", "", timing, value_error, gradient_error, share)
