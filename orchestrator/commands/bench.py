"""`hadamard bench`: times the simulators of the registry on the paper's head; one whose numbers are wrong gets no time."""

from __future__ import annotations

import io
import itertools

from rich.console import Console
from rich.table import Table

from hadamard.cluster.allocation import detect
from hadamard.model.errors import SettingsError
from hadamard.model.settings import Settings
from hadamard.model.simulators.registry import SIMULATORS
from hadamard.model.simulators.select import resolve
from hadamard.orchestrator.formats import NONE, bytes_in_words, count
from hadamard.orchestrator.timing import comparison, machine
from hadamard.orchestrator.timing.options import names_in, say, sizes_in
from hadamard.orchestrator.timing.paper_head import FEWEST_QUBITS, circuits, least_bytes
from hadamard.orchestrator.timing.simulators import REFERENCE_FACTORY, contestant, usable_simulators

WIDTH = 120
CASE = (
    "The paper's head: E = 1, C = 2, an encoder of 3 layers on amplitudes of full size, N = 2 blocks of 1 layer, PQC 2 of 2 layers, <Z_0>; "
    "forward and the gradient of every angle. A time is shown where values are within 1e-5 and gradients within 1e-4 of the reference."
)


class BenchResult(Settings, allow_inf_nan=True):
    """What `hadamard bench` measured; `--json` prints it."""

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

    def as_text(self) -> str:
        """Return the table, with the machine above it and what was not measured below."""
        clock = "process CPU seconds" if self.threads == 1 else "seconds by the clock"
        table = Table(box=None, pad_edge=False, header_style="bold", title=CASE, title_style="", title_justify="left")
        headings = ("simulator", "qubits", "seconds", "times auto's", "extra memory", "error: values", "gradients", "")
        for heading in headings:
            table.add_column(heading, justify="left" if heading in ("simulator", "") else "right", no_wrap=True)
        for result in self.results:
            table.add_row(*self._row(result), end_section=result is self.results[-1])
        buffer = io.StringIO()
        console = Console(file=buffer, width=WIDTH, highlight=False, markup=False)
        console.print(f"{self.machine.as_text()}, {count(self.threads, 'thread')}; batch {self.batch}", soft_wrap=True)
        console.print(f"seconds: {clock} of a step (of a GPU: by the clock), median after a first one, one process each", soft_wrap=True)
        console.print(table)
        reasons = dict.fromkeys(f"{one.name}, {one.qubits} qubits: {one.why}" for one in self.results if one.why)
        console.print("\n".join(reasons), soft_wrap=True)
        return "\n".join(line.rstrip() for line in buffer.getvalue().rstrip().splitlines()) + "\n"

    def _row(self, result: comparison.Result) -> tuple[str, ...]:
        seconds, of_auto = result.seconds(self.threads), self._seconds(self.auto[result.qubits], result.qubits)
        ratio = NONE if seconds is None or of_auto is None else f"{seconds / of_auto:.3g}"
        extra = None if result.timing is None else result.timing.extra_bytes
        return (
            result.name,
            str(result.qubits),
            NONE if seconds is None else f"{seconds:.3g}",
            ratio,
            NONE if extra is None else bytes_in_words(extra),
            *(NONE if error is None else f"{error:.0e}" for error in (result.value_error, result.gradient_error)),
            "" if result.status == "measured" else result.status,
        )

    def _seconds(self, name: str, qubits: int) -> float | None:
        return next((one.seconds(self.threads) for one in self.results if (one.name, one.qubits) == (name, qubits)), None)


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
