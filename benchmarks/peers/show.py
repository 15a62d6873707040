"""A comparison as people and programs read it: text with a table, JSON, and a picture."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from rich.console import Console
from rich.table import Table

from benchmarks.peers.comparison import Comparison
from benchmarks.peers.contestants import BASELINE, BY_NAME
from hadamard.orchestrator.plotting import INK, LINES, MARKERS, MUTED, STYLE, UP, save
from hadamard.orchestrator.timing.comparison import Result

WIDTH = 150
NONE = "–"
UNTIMED = {"wrong": "WRONG NUMBERS", "absent": "absent", "stopped": "stopped"}
HEADINGS = (
    "simulator",
    "qubits",
    "seconds",
    f"faster than\n{BASELINE}",
    "ours is\nfaster by",
    "extra memory",
    "error: values",
    "gradients",
    "compile",
    "of GEMM",
)
OUR_COLOUR, PEER_COLOURS = UP, (*LINES[1:], INK)


def as_text(comparison: Comparison) -> str:
    """Return the table, with what was measured and where above it."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=WIDTH, highlight=False, markup=False)
    for line in _heading(comparison):
        console.print(line, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "simulator" else "right", no_wrap=True)
    before = None
    for result in comparison.results:
        if before not in (None, result.qubits):
            table.add_row()
        table.add_row(*_row(comparison, result))
        before = result.qubits
    console.print()
    console.print(table)
    console.print()
    for why in _whys(comparison):
        console.print(why, soft_wrap=True)
    for name in dict.fromkeys(result.name for result in comparison.results):
        console.print(f"{name:<22}{BY_NAME[name].how}", soft_wrap=True)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def as_json(comparison: Comparison) -> str:
    """Return everything as JSON; what is not measured is null."""
    content = {
        "machine": comparison.machine.model_dump(),
        "gemm": asdict(comparison.gemm),
        "batch": comparison.rows,
        "threads": comparison.threads,
        "ours": {str(qubits): name for qubits, name in comparison.ours.items()},
        "results": [_plain(comparison, result) for result in comparison.results],
    }
    return json.dumps(content, indent=1) + "\n"


def draw(comparison: Comparison, directory: Path) -> Path:
    """Draw seconds per step against qubits into `bench.png`, the slowest first in the legend; return its path."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for result in comparison.results:
        if (seconds := comparison.seconds(result)) is not None:
            curves.setdefault(result.name, []).append((result.qubits, seconds))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.0, 5.0))
        axes = figure.subplots()
        for name in sorted(curves, key=lambda name: -curves[name][-1][1]):
            axes.plot(*zip(*curves[name], strict=True), label=name, markersize=5, **_look(name))
        axes.set_yscale("log")
        axes.yaxis.grid(True)
        axes.xaxis.set_major_locator(FixedLocator(sorted({result.qubits for result in comparison.results})))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("qubits")
        axes.set_ylabel("seconds per step, forward and gradient")
        axes.set_title(f"{_where(comparison)}\n", color=MUTED)
        figure.suptitle(f"The paper's head, batch {comparison.rows}: ours (solid) and peers", x=0.01, ha="left", color=INK)
        if curves:
            figure.legend(loc="outside right center")
    directory.mkdir(parents=True, exist_ok=True)
    return save(figure, directory / "bench.png")


def _look(name: str) -> dict[str, Any]:
    """Return how a contestant's curve looks: ours in one colour, each peer in its own."""
    alike = [peer.name for peer in BY_NAME.values() if (peer.package is None) == (BY_NAME[name].package is None)]
    place = alike.index(name)
    if BY_NAME[name].package is None:
        return {"color": OUR_COLOUR, "marker": MARKERS[place % len(MARKERS)], "linestyle": "-"}
    return {"color": PEER_COLOURS[place % len(PEER_COLOURS)], "marker": MARKERS[place % len(MARKERS)], "linestyle": "--"}


def _heading(comparison: Comparison) -> Sequence[str]:
    clock = "process CPU seconds" if comparison.threads == 1 else "seconds by the clock"
    versions = ", ".join(f"{name} {version}" for name, version in comparison.machine.versions.items())
    chosen = ", ".join(f"{name} at {qubits}" for qubits, name in comparison.ours.items())
    return (
        "case       the paper's head: E = 1, C = 2, encoder of 3 layers on amplitudes of full size, N = 2 blocks of 1 layer,",
        f"           PQC 2 of 2 layers, <Z_0>; batch {comparison.rows}; forward and the gradient of every angle",
        f"machine    {_where(comparison)}; Python {comparison.machine.python}, {versions}",
        f"GEMM       {comparison.gemm.flop_per_s / 1e9:.0f} GF/s in float32 on one thread, by {comparison.gemm.by}",
        f"seconds    {clock} per step (of a GPU: by the clock), median after a first step, one process each",
        "checked    values within 1e-5 and gradients within 1e-4 of the clear simulator in float64, or no time is shown",
        f"ours       what `simulator: auto` takes: {chosen}",
    )


def _whys(comparison: Comparison) -> Sequence[str]:
    """Return why there is no time where there is none, in lines below the table: they would burst its columns."""
    untimed = [result for result in comparison.results if result.timing is None]
    sizes = {"absent": "", "stopped": " at {} qubits", "wrong": " at {} qubits"}
    lines = dict.fromkeys(f"{result.name}{sizes[result.status].format(result.qubits)}: {result.why}" for result in untimed)
    return [*lines, ""] if lines else []


def _where(comparison: Comparison) -> str:
    threads = "one thread" if comparison.threads == 1 else f"{comparison.threads} threads"
    return f"{comparison.machine.processor}, {comparison.machine.cores} cores, {threads}"


def _row(comparison: Comparison, result: Result) -> list[str]:
    errors = ["" if error is None else f"{error:.0e}" for error in (result.value_error, result.gradient_error)]
    if result.timing is None:
        return [result.name, str(result.qubits), UNTIMED[result.status], "", "", "", *errors, "", ""]
    timing, seconds = result.timing, comparison.seconds(result)
    assert seconds is not None
    share = comparison.gemm_share(result)
    return [
        result.name,
        str(result.qubits),
        _three_digits(seconds),
        _ratio(comparison.faster(result, BASELINE)),
        _ratio(comparison.ours_faster(result)),
        NONE if timing.extra_bytes is None else f"{timing.extra_bytes / 2**20:.1f} MiB",
        *errors,
        f"{timing.prepare_s:.1f} s" if BY_NAME[result.name].compiles else "",
        "" if share is None else f"{100 * share:.0f} %",
    ]


def _plain(comparison: Comparison, result: Result) -> dict[str, Any]:
    numbers = {**result.model_dump(mode="json"), "gemm_share": comparison.gemm_share(result), "seconds": comparison.seconds(result)}
    numbers |= {"faster_than_baseline": comparison.faster(result, BASELINE), "ours_faster_by": comparison.ours_faster(result)}
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in numbers.items()}


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value >= 0.001 else f"{value:.2e}"


def _ratio(value: float | None) -> str:
    return NONE if value is None else f"{value:.2g}x" if value < 10 else f"{value:,.0f}x"
