"""`hadamard bench`: times the simulators of the registry on the paper's head; one whose numbers are wrong gets no time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hadamard.cluster.allocation import detect
from hadamard.model.errors import SettingsError
from hadamard.model.simulators.registry import SIMULATORS
from hadamard.model.simulators.select import resolve
from hadamard.orchestrator.commands.render import Result, pairs, table
from hadamard.orchestrator.formats import NONE, bytes_in_words, count
from hadamard.orchestrator.timing import comparison, machine
from hadamard.orchestrator.timing.options import names_in, say, sizes_in
from hadamard.orchestrator.timing.paper_head import FEWEST_QUBITS, circuits, least_bytes
from hadamard.orchestrator.timing.simulators import REFERENCE_FACTORY, contestant, usable_simulators

CASE = (
    "forward and every gradient of the paper's head; a time is shown where values are within 1e-5 of the reference, gradients within 1e-4"
)
HEADINGS = ("simulator", "qubits", "seconds", "times auto's", "extra memory", "error: values", "gradients")


class BenchResult(Result):
    """What `hadamard bench` measured."""

    machine: machine.Machine
    batch: int
    """Rows."""
    threads: int
    """Of each simulator."""
    auto: dict[int, str]
    """What `simulator: auto` takes, by qubits."""
    results: tuple[comparison.Result, ...]
    """Sizes in order, simulators as the registry has them."""

    @property
    def right(self) -> bool:
        """Whether all numbers are those of the reference."""
        return not any(result.status == "wrong" for result in self.results)


def text(measured: BenchResult) -> Iterator[str]:
    """Yield the table, with the machine above it and what was not measured below."""
    clock = "process CPU seconds" if measured.threads == 1 else "seconds by the clock"
    yield from pairs(
        (
            ("case", CASE),
            ("machine", f"{measured.machine.as_text()}, {count(measured.threads, 'thread')}, batch {measured.batch}"),
            ("seconds", f"{clock} of a step (of a GPU: by the clock), median after a first one, one process each"),
        )
    )
    yield ""
    yield from table(HEADINGS, [_row(measured, result) for result in measured.results], texts=1)
    reasons = dict.fromkeys(f"{result.name}, {result.qubits} qubits: {result.why}" for result in measured.results if result.why)
    yield from ("", *reasons) if reasons else ()


def _row(measured: BenchResult, result: comparison.Result) -> tuple[str, ...]:
    def of_auto() -> float | None:
        at = (measured.auto[result.qubits], result.qubits)
        return next((other.seconds(measured.threads) for other in measured.results if (other.name, other.qubits) == at), None)

    seconds, auto = result.seconds(measured.threads), of_auto()
    ratio = NONE if seconds is None or auto is None else _times(seconds / auto)
    extra = None if result.timing is None else result.timing.extra_bytes
    return (
        result.name,
        str(result.qubits),
        result.status if seconds is None else f"{seconds:.3g}",
        ratio,
        NONE if extra is None else bytes_in_words(extra),
        *(NONE if error is None else f"{error:.0e}" for error in (result.value_error, result.gradient_error)),
    )


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"


def bench(qubits: str, rows: int, simulators: str, threads: int, limit_s: float) -> BenchResult:
    """Time simulators.

    Args:
        qubits: Sizes, separated by commas.
        rows: Size of the batch.
        simulators: Names, separated by commas; empty for all that can be opened here.
        threads: Of each simulator.
        limit_s: What a simulator's first step may take at a size.

    Raises:
        SettingsError: A name or size that is not possible here.
    """
    names = names_in(simulators) or [kind.name for kind in usable_simulators()]
    if unknown := [name for name in names if name not in SIMULATORS]:
        raise SettingsError(f"--simulators: there is no simulator {', '.join(unknown)}. Choose from: {', '.join(SIMULATORS)}")
    sizes = _sizes(qubits, rows)
    if threads > (cores := detect().cpus):
        raise SettingsError(f"--threads {threads}: {count(cores, 'core')} can be used here; times of more threads than cores mean nothing")
    contestants = [contestant(SIMULATORS[name]) for name in names]
    results = tuple(comparison.compare(contestants, REFERENCE_FACTORY, sizes, rows, threads, limit_s, say))
    say("")
    auto = {size: resolve("auto", circuits(size)).name for size in sizes}
    return BenchResult(machine=machine.this_machine(), batch=rows, threads=threads, auto=auto, results=results)


def _sizes(qubits: str, rows: int) -> list[int]:
    """Return the sizes in order; refuse those that cannot be measured here, before anything is."""
    sizes, memory_bytes = sizes_in(qubits), detect().memory_bytes
    most = next(size for size in itertools.count(FEWEST_QUBITS - 1) if least_bytes(size + 1, rows) > memory_bytes)
    if sizes[-1] > most:
        raise SettingsError(
            f"--qubits {sizes[-1]}: {memory_bytes / 2**30:.1f} GiB of memory hold up to {most} qubits of --batch {rows}, gradient included"
        )
    return sizes
