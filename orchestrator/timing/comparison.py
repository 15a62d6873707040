"""Every contestant at every size, its numbers checked against the reference before its time counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from hadamard.model.errors import SettingsError
from hadamard.model.settings import Settings
from hadamard.orchestrator.timing.steps import Answer, StepRequest, Timing, time_step

VALUE_BOUND, GRADIENT_BOUND = 1e-5, 1e-4
"""Largest errors that count as right, of single precision."""
UNLIMITED_S = 24 * 3600.0


@dataclass(frozen=True)
class Contestant:
    """One way to compute a case.

    Attributes:
        name: For people.
        factory: `module:function`, called with a case and `arguments`; returns its step.
        arguments: Of the factory.
        absent: Why it cannot take part on this machine; None if it can.
    """

    name: str
    factory: str
    arguments: tuple[str, ...] = ()
    absent: str | None = None


class Result(Settings, allow_inf_nan=True):
    """What is known of a contestant at a size."""

    name: str
    qubits: int
    status: Literal["measured", "wrong", "absent", "stopped"]
    """`wrong`: its numbers are not the reference's, so its time does not count; `absent`: it cannot run here; `stopped`: it took too
    long or failed."""
    why: str = ""
    """Why it is not measured."""
    timing: Timing | None = None
    value_error: float | None = None
    """Largest absolute error of a value; None where there are no numbers."""
    gradient_error: float | None = None

    def seconds(self, threads: int) -> float | None:
        """Return the seconds of a step: of CPU where one thread did it, by the clock where several or a GPU did."""
        if self.timing is None:
            return None
        return self.timing.wall_s if threads > 1 or self.timing.on_gpu else self.timing.cpu_s


def compare(
    contestants: Sequence[Contestant],
    reference: str,
    sizes: Sequence[int],
    rows: int,
    threads: int,
    limit_s: float,
    say: Callable[[str], None],
) -> Iterator[Result]:
    """Measure everything, one process after the other.

    Args:
        contestants: In the order of the results at a size.
        reference: Factory of the step whose numbers are right.
        sizes: Qubits.
        rows: Size of the batch.
        threads: Of each contestant.
        limit_s: What a contestant's first step may take.
        say: Is told what is being measured, never a time.

    Raises:
        SettingsError: The reference cannot be computed at a size.
    """
    for qubits in sizes:
        say(f"{qubits} qubits: reference")
        right = time_step(StepRequest(factory=reference, qubits=qubits, rows=rows, threads=1, limit_s=UNLIMITED_S, repeated=False))
        if isinstance(right, str):
            raise SettingsError(f"--qubits {qubits}: the reference {right}; take a smaller --batch or fewer qubits")
        for contestant in contestants:
            say(f"{qubits} qubits: {contestant.name}")
            step = StepRequest(
                factory=contestant.factory, arguments=contestant.arguments, qubits=qubits, rows=rows, threads=threads, limit_s=limit_s
            )
            yield _result(contestant, step, right[0])


def _result(contestant: Contestant, step: StepRequest, reference: Answer) -> Result:
    name, qubits = contestant.name, step.qubits
    if contestant.absent:
        return Result(name=name, qubits=qubits, status="absent", why=contestant.absent)
    measured = time_step(step)
    if isinstance(measured, str):
        return Result(name=name, qubits=qubits, status="stopped", why=measured)
    answer, timing = measured
    value_error, gradient_error = answer.errors(reference)
    right = value_error <= VALUE_BOUND and gradient_error <= GRADIENT_BOUND  # NaN is never within a bound
    return Result(
        name=name,
        qubits=qubits,
        status="measured" if right else "wrong",
        why="" if right else "its numbers are not those of the reference",
        timing=timing if right else None,
        value_error=value_error,
        gradient_error=gradient_error,
    )
