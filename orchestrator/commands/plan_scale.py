"""`hadamard plan --scale`: what a training step would take on more qubits than fit here, as text, JSON and a picture.

Owns the machine that is priced unless another is given, with where its numbers are from, and how prices are shown. Does not own the model.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from rich.console import Console
from rich.table import Table

from hadamard.model.errors import UserError
from hadamard.model.heads.quantum.settings import QuantumHead
from hadamard.orchestrator.formats import bytes_in_words, duration, joules
from hadamard.orchestrator.planning.cost_model import PROCESS_BYTES, SHARED_KERNELS
from hadamard.orchestrator.planning.scale import Machine, StepEstimate, prices
from hadamard.orchestrator.planning.step_model import Kernels, Link
from hadamard.orchestrator.plotting import FAINT, LINES, MUTED, STYLE, WIDTH, save, titled
from hadamard.orchestrator.study.file import StudyFile
from hadamard.orchestrator.study.schema import study_of

PAPER = QuantumHead(encoders=1, encoder_layers=3, connectivity=2, reuploads=2, layers=2)
QUBITS = range(30, 47, 2)
MEMORY_GIB, NETWORK_GB_S, WATTS = 4.0, 0.195, 6.0
"""A core of a CPU node of Perlmutter, as NERSC describes it: two AMD EPYC 7763 with 128 cores and 560 W in all, 512 GiB, one network
interface of 25 GB/s; a third more watts for memory, network and cooling (our guess)."""
MESSAGE_S = 2e-6
"""A small message between nodes: our guess."""
PICTURE = "scale.png"


def machine(
    memory_gib: float = MEMORY_GIB, network_gb_s: float = NETWORK_GB_S, watts: float = WATTS, kernel_ns: float | None = None
) -> Machine:
    """Return a machine of such ranks.

    Args:
        memory_gib: Of each.
        network_gb_s: What each can send.
        watts: That each takes.
        kernel_ns: Of a gate, forward and gradient, per amplitude; None: as measured for states beyond caches.
    """
    measured = SHARED_KERNELS
    amplitude_s = measured.far_s if kernel_ns is None else kernel_ns * 1e-9
    kernels = Kernels(measured.gate_s, amplitude_s, amplitude_s, 0)
    return Machine(round(memory_gib * 2**30), PROCESS_BYTES, kernels, Link(network_gb_s * 1e9, MESSAGE_S), watts)


def show_scale(study: Path | None, overrides: Sequence[str], ranks: Machine, directory: Path, as_json: bool) -> str:
    """Return the prices of a head as text or JSON, and draw them.

    Args:
        study: Whose head it is; None: the paper's.
        overrides: `a.b=value` strings for it.
        ranks: The machine.
        directory: Where the picture is written.
        as_json: Whether JSON is wanted.

    Raises:
        UserError: The study is not valid or has no quantum head, or no number of such ranks holds a state.
    """
    head, number_bytes = PAPER, 4
    if study is not None:
        settings = study_of(StudyFile.read(study, overrides))
        if not isinstance(settings.head, QuantumHead):
            raise UserError(f"{study}: --scale prices a quantum head, not {settings.head.kind}")
        head, number_bytes = settings.head, 8 if settings.precision == "float64" else 4
    found = prices(head, QUBITS, ranks, number_bytes)
    if not found:
        raise UserError(f"a process takes {bytes_in_words(ranks.process_bytes)} before its first state; give --memory-gib more")
    directory.mkdir(parents=True, exist_ok=True)
    picture = save(figure(found, assumptions(head, ranks, number_bytes)), directory / PICTURE)
    if as_json:
        return json.dumps(_as_json(head, found, ranks, number_bytes, picture), indent=1) + "\n"
    return _as_text(found, assumptions(head, ranks, number_bytes), picture)


def assumptions(head: QuantumHead, ranks: Machine, number_bytes: int) -> list[str]:
    """Return all that the prices rest on, in words."""
    return [
        f"a training step on one sentence; head with E = {head.encoders}, {head.encoder_layers} encoder layers, C = {head.connectivity}, "
        f"N = {head.reuploads}, {head.layers} layers; real amplitudes of {number_bytes} bytes",
        f"each rank: {ranks.memory_bytes / 2**30:.3g} GiB, of which a process takes {bytes_in_words(ranks.process_bytes)}; "
        f"{ranks.kernels.far_s * 1e9:.3g} ns per gate and amplitude, forward and gradient; "
        f"{ranks.link.bytes_s / 1e9:.3g} GB/s and {ranks.link.message_s * 1e6:.3g} us per message; {ranks.watts:.3g} W",
        "computing and exchanging one after the other; a network that carries all ranks' messages at once at that speed",
    ]


@mpl.rc_context(STYLE)
def figure(found: Sequence[StepEstimate], assumed: Sequence[str]) -> Figure:
    """Draw ranks, bytes, seconds and joules against qubits."""
    drawn = Figure(figsize=(WIDTH, 3.9))
    axes = drawn.subplots(1, 4)
    qubits = [one.qubits for one in found]
    _panel(axes[0], "ranks", qubits, [one.sharing.ranks for one in found], lambda value: f"{value:,.0f}")
    _panel(axes[1], "bytes moved between ranks", qubits, [one.step.moved_bytes for one in found], bytes_in_words, base=32)
    _panel(axes[3], "energy", qubits, [one.joules for one in found], joules)
    parts = {"exchanging": [one.exchange_s for one in found], "computing": [one.compute_s for one in found]}
    axes[2].stackplot(qubits, *reversed(parts.values()), labels=list(reversed(parts)), colors=[FAINT, LINES[0]])
    axes[2].yaxis.set_major_locator(MaxNLocator(5, steps=[1, 1.2, 3, 6, 10]))  # minutes are whole where seconds become them
    axes[2].set_ylim(0, 1.35 * max(one.seconds for one in found))
    axes[2].legend(loc="upper left", reverse=True, handlelength=1.2)
    _label(axes[2], "time of a step", qubits, duration)
    last = found[-1]
    drawn.supxlabel("\n".join(f"{line[0].upper()}{line[1:]}." for line in assumed), x=0.008, ha="left", fontsize=7.5, color=MUTED)
    return titled(
        drawn,
        f"{last.qubits} qubits: {last.sharing.ranks:,} ranks, {duration(last.seconds)} and {joules(last.joules)} for each sentence",
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


def _as_text(found: Sequence[StepEstimate], assumed: Sequence[str], picture: Path) -> str:
    buffer = io.StringIO()
    console = Console(file=buffer, width=120, highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("qubits", "ranks", "GiB each", "stages", "moved", "computing", "exchanging", "step", "energy"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        cells = (duration(one.compute_s), duration(one.exchange_s), duration(one.seconds), joules(one.joules))
        moved = bytes_in_words(one.step.moved_bytes)
        table.add_row(str(one.qubits), f"{one.sharing.ranks:,}", f"{one.memory_bytes / 2**30:.2f}", str(one.step.stages), moved, *cells)
    console.print(table)
    console.print()
    for line in assumed:
        console.print(line, soft_wrap=True)
    console.print(f"picture: {picture}", soft_wrap=True)
    return buffer.getvalue()


def _as_json(head: QuantumHead, found: Sequence[StepEstimate], ranks: Machine, number_bytes: int, picture: Path) -> dict[str, Any]:
    return {
        "head": head.model_dump(mode="json", exclude={"qubits"}),
        "amplitude_bytes": number_bytes,
        "sentences": 1,
        "rank": {
            "memory_bytes": ranks.memory_bytes,
            "process_bytes": ranks.process_bytes,
            "gate_amplitude_s": ranks.kernels.far_s,
            "bytes_s": ranks.link.bytes_s,
            "message_s": ranks.link.message_s,
            "watts": ranks.watts,
        },
        "prices": [
            {
                "qubits": one.qubits,
                "ranks": one.sharing.ranks,
                "memory_bytes": one.memory_bytes,
                "stages": one.step.stages,
                "moved_bytes": round(one.step.moved_bytes),
                "compute_s": one.compute_s,
                "exchange_s": one.exchange_s,
                "seconds": one.seconds,
                "joules": one.joules,
            }
            for one in found
        ],
        "picture": str(picture),
    }
