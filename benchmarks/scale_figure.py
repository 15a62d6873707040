"""Draws what a training step of one sentence would take on 30 to 46 qubits: ranks, bytes, seconds and joules (docs/mpi.md).

`python -m benchmarks.scale_figure [STUDY]` prints the table and writes the figure `scale.png`; without a study the head is the paper's. A
machine is described by the memory, network and watts of a rank. The model of a step is `orchestrator/planning/step_model.py`.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from rich.console import Console
from rich.table import Table

from hadamard.model.heads.quantum.settings import QuantumHead
from hadamard.orchestrator.formats import bytes_in_words, duration, joules
from hadamard.orchestrator.planning.cost_model import PROCESS_BYTES, SHARDED_KERNELS
from hadamard.orchestrator.planning.rank_layout import RankLayout
from hadamard.orchestrator.planning.step_model import Kernels, Link, Step, rank_amplitudes, step_of, step_seconds
from hadamard.orchestrator.plotting import FAINT, LINES, MUTED, STYLE, WIDTH, save, titled
from hadamard.orchestrator.study.file import StudyFile
from hadamard.orchestrator.study.rank_settings import most_shards
from hadamard.orchestrator.study.validation import study_of

PAPER = QuantumHead(encoders=1, encoder_layers=3, connectivity=2, reuploads=2, layers=2)
QUBITS = range(30, 47, 2)
MEMORY_GIB, NETWORK_GB_S, WATTS = 4.0, 0.195, 6.0
"""A core of a CPU node of Perlmutter, as NERSC describes it: two AMD EPYC 7763 with 128 cores and 560 W in all, 512 GiB, one network
interface of 25 GB/s; a third more watts for memory, network and cooling (our guess)."""
MESSAGE_S = 2e-6
"""A small message between nodes: our guess."""


@dataclass(frozen=True)
class Machine:
    """A machine of as many ranks as it takes.

    Attributes:
        memory_bytes: Of a rank.
        kernels: Of a rank.
        link: Of a rank.
        watts: Of a rank, its share of everything around it included.
    """

    memory_bytes: int
    kernels: Kernels
    link: Link
    watts: float


@dataclass(frozen=True)
class StepEstimate:
    """A training step of one sentence on a machine.

    Attributes:
        qubits: Of the head.
        layout: The ranks.
        step: What they do.
        memory_bytes: Of a rank, its process included.
        compute_s: Seconds for which a rank computes.
        exchange_s: Seconds for which it sends and receives.
        energy_j: Joules of all ranks.
    """

    qubits: int
    layout: RankLayout
    step: Step
    memory_bytes: int
    compute_s: float
    exchange_s: float
    energy_j: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.compute_s + self.exchange_s


def machine(
    memory_gib: float = MEMORY_GIB, network_gb_s: float = NETWORK_GB_S, watts: float = WATTS, kernel_ns: float | None = None
) -> Machine:
    """Return a machine of such ranks.

    Args:
        memory_gib: Memory of each.
        network_gb_s: What each can send.
        watts: Power of each.
        kernel_ns: Forward and gradient of a gate, per amplitude; None: as measured for states larger than caches.
    """
    amplitude_s = SHARDED_KERNELS.uncached_s if kernel_ns is None else kernel_ns * 1e-9
    kernels = Kernels(SHARDED_KERNELS.gate_s, amplitude_s, amplitude_s, 0)
    return Machine(round(memory_gib * 2**30), kernels, Link(network_gb_s * 1e9, MESSAGE_S), watts)


def estimate_step(head: QuantumHead, ranks: Machine, amplitude_bytes: int) -> StepEstimate | None:
    """Return a step on one sentence by as few ranks as hold it; None where not even the most do."""
    for power in range(most_shards(head).bit_length()):
        layout = RankLayout(2**power, 2**power)
        memory_bytes = PROCESS_BYTES + amplitude_bytes * rank_amplitudes(head, 1, layout)
        if memory_bytes <= ranks.memory_bytes:
            step = step_of(head, 1, layout, amplitude_bytes)
            compute_s, exchange_s = step_seconds(step, ranks.kernels, ranks.link)
            energy_j = ranks.watts * layout.ranks * (compute_s + exchange_s)
            return StepEstimate(head.qubits, layout, step, memory_bytes, compute_s, exchange_s, energy_j)
    return None


def estimates(head: QuantumHead, qubits: Iterable[int], ranks: Machine, amplitude_bytes: int) -> list[StepEstimate]:
    """Return the steps of a head on more and more qubits, as far as ranks can hold them."""
    steps = (estimate_step(head.model_copy(update={"qubits": width}), ranks, amplitude_bytes) for width in qubits)
    return [step for step in steps if step is not None]


def assumptions(head: QuantumHead, ranks: Machine, amplitude_bytes: int) -> list[str]:
    """Return all that the estimates rest on, in words."""
    return [
        f"a training step on one sentence; head with E = {head.encoders}, {head.encoder_layers} encoder layers, C = {head.connectivity}, "
        f"N = {head.reuploads}, {head.layers} layers; real amplitudes of {amplitude_bytes} bytes",
        f"each rank: {ranks.memory_bytes / 2**30:.3g} GiB, of which a process takes {bytes_in_words(PROCESS_BYTES)}; "
        f"{ranks.kernels.uncached_s * 1e9:.3g} ns per gate and amplitude, forward and gradient; "
        f"{ranks.link.bytes_s / 1e9:.3g} GB/s and {ranks.link.message_s * 1e6:.3g} us per message; {ranks.watts:.3g} W",
        "computing and exchanging one after the other; a network that carries all ranks' messages at once at that speed",
    ]


@mpl.rc_context(STYLE)
def figure(steps: Sequence[StepEstimate], assumed: Sequence[str]) -> Figure:
    """Draw ranks, bytes, seconds and joules against qubits."""
    drawn = Figure(figsize=(WIDTH, 3.9))
    axes = drawn.subplots(1, 4)
    qubits = [step.qubits for step in steps]
    _panel(axes[0], "ranks", qubits, [step.layout.ranks for step in steps], lambda value: f"{value:,.0f}")
    _panel(axes[1], "bytes moved between ranks", qubits, [step.step.moved_bytes for step in steps], bytes_in_words, base=32)
    _panel(axes[3], "energy", qubits, [step.energy_j for step in steps], joules)
    parts = {"exchanging": [step.exchange_s for step in steps], "computing": [step.compute_s for step in steps]}
    axes[2].stackplot(qubits, *reversed(parts.values()), labels=list(reversed(parts)), colors=[FAINT, LINES[0]])
    axes[2].yaxis.set_major_locator(MaxNLocator(5, steps=[1, 1.2, 3, 6, 10]))  # minutes are whole where seconds become them
    axes[2].set_ylim(0, 1.35 * max(step.seconds for step in steps))
    axes[2].legend(loc="upper left", reverse=True, handlelength=1.2)
    _label(axes[2], "time of a step", qubits, duration)
    last = steps[-1]
    drawn.supxlabel("\n".join(f"{line[0].upper()}{line[1:]}." for line in assumed), x=0.008, ha="left", fontsize=7.5, color=MUTED)
    return titled(
        drawn,
        f"{last.qubits} qubits: {last.layout.ranks:,} ranks, {duration(last.seconds)} and {joules(last.energy_j)} for each sentence",
    )


def _panel(axes: Axes, title: str, qubits: Sequence[int], values: Sequence[float], words: Callable[[float], str], base: int = 10) -> None:
    axes.plot(qubits, values, "-o", color=LINES[0], markersize=3.5, linewidth=1.4)
    axes.set_yscale("log", base=base)
    axes.yaxis.set_minor_locator(NullLocator())
    _label(axes, title, qubits, words)


def _label(axes: Axes, title: str, qubits: Sequence[int], words: Callable[[float], str]) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words(value)))
    axes.yaxis.grid(True)
    axes.set_xticks([width for width in qubits if (width - qubits[0]) % 4 == 0])
    axes.set_title(title)
    axes.set_xlabel("qubits")


def as_text(steps: Sequence[StepEstimate], assumed: Sequence[str]) -> str:
    """Return the estimates as a table, and what they rest on."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=120, highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("qubits", "ranks", "GiB each", "stages", "moved", "computing", "exchanging", "step", "energy"):
        table.add_column(heading, justify="right", no_wrap=True)
    for step in steps:
        cells = (duration(step.compute_s), duration(step.exchange_s), duration(step.seconds), joules(step.energy_j))
        moved = bytes_in_words(step.step.moved_bytes)
        memory = f"{step.memory_bytes / 2**30:.2f}"
        table.add_row(str(step.qubits), f"{step.layout.ranks:,}", memory, str(step.step.stages), moved, *cells)
    console.print(table)
    console.print()
    for line in assumed:
        console.print(line, soft_wrap=True)
    return buffer.getvalue()


def main(words: Sequence[str] | None = None) -> None:
    """Print the table and write the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", type=Path, help="study file with a quantum head; default: the paper's head")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help="a setting of the study")
    parser.add_argument("--memory-gib", type=float, default=MEMORY_GIB, help="memory of a rank")
    parser.add_argument("--network-gb-s", type=float, default=NETWORK_GB_S, help="GB/s that a rank sends")
    parser.add_argument("--watts", type=float, default=WATTS, help="watts of a rank")
    parser.add_argument("--kernel-ns", type=float, help="ns per gate and amplitude; default: measured")
    parser.add_argument("--out", type=Path, default=Path("runs/scale"), help="directory of the figure")
    options = parser.parse_args(words)
    head, amplitude_bytes = PAPER, 4
    if options.study is not None:
        study = study_of(StudyFile.read(options.study, options.overrides))
        if not isinstance(study.head, QuantumHead):
            parser.error(f"{options.study} has a {study.head.kind} head; name a study with a quantum head")
        head, amplitude_bytes = study.head, 8 if study.precision == "float64" else 4
    ranks = machine(options.memory_gib, options.network_gb_s, options.watts, options.kernel_ns)
    steps, assumed = estimates(head, QUBITS, ranks, amplitude_bytes), assumptions(head, ranks, amplitude_bytes)
    if not steps:
        parser.error(f"a process takes {bytes_in_words(PROCESS_BYTES)} before its first state; give --memory-gib more")
    options.out.mkdir(parents=True, exist_ok=True)
    print(as_text(steps, assumed) + f"figure: {save(figure(steps, assumed), options.out / 'scale.png')}")


if __name__ == "__main__":
    main()
