"""The two pictures of docs/crossover.md: energy against qubits, and what moves the crossover; their assumptions are under them.

`python -m benchmarks.crossover_figures runs/energy/measured.json [WATTS]` draws what `hadamard energy` or `benchmarks.inference` measured.
"""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from hadamard.orchestrator.commands.crossover import text
from hadamard.orchestrator.commands.crossover.fit import Fit
from hadamard.orchestrator.commands.crossover.measured import read_measured
from hadamard.orchestrator.commands.crossover.models import gpu_j, qpu_j
from hadamard.orchestrator.commands.crossover.result import ONE_QUBIT_GATES, TWO_QUBIT_GATES, Curve, EnergyResult, Modelled, energy_result
from hadamard.orchestrator.commands.crossover.scenarios import read_scenarios
from hadamard.orchestrator.plotting import DOWN, FAINT, INK, LINES, MARKERS, MUTED, STYLE, UP, WIDTH, save, titled
from hadamard.orchestrator.study.packaged import packaged_input

QUBITS = np.arange(4, 52.01, 0.25)
SECONDS, JOULES = (3e-8, 3e11), (1e-12, 1e12)
"""What the axes show; a band may go beyond."""
SCENARIO_COLOURS = (LINES[0], LINES[5], LINES[4])
SIMULATOR_COLOURS = (LINES[2], LINES[3], LINES[1], INK, MUTED, LINES[4])
NOTE_SIZE, NOTE_WIDTH, NOTE_INCHES = 7.0, 178, 0.128
"""Points, characters and inches of a line of assumptions."""


def draw(result: EnergyResult, directory: Path) -> dict[str, Path]:
    """Draw `energy.png` and `crossover.png` into a directory; return their paths by name."""
    pictures = {"energy": energy_figure(result), "crossover": tornado(result)}
    return {name: save(figure, directory / f"{name}.png") for name, figure in pictures.items()}


@mpl.rc_context(STYLE)
def energy_figure(result: EnergyResult) -> Figure:
    """Draw seconds of the measured simulators and joules of everything, for one sentence, against qubits."""
    figure = _figure(4.6, assumptions(result))
    time, energy = figure.subplots(1, 2)
    _seconds(time, result)
    _joules(energy, result)
    for axes in (time, energy):
        axes.set_xlim(QUBITS[0] - 1, QUBITS[-1])
        axes.set_xticks(range(4, 53, 6))
        axes.set_xlabel("qubits")
        axes.yaxis.grid(True)
    crossovers = [f"{text.size(modelled.crossover_qubits)} ({name})" for name, modelled in result.scenarios.items()]
    return titled(figure, f"One inference: a QPU takes less energy than GPUs from {' or '.join(crossovers)} qubits")


@mpl.rc_context(STYLE)
def tornado(result: EnergyResult) -> Figure:
    """Draw by how many qubits each input, halved and doubled, moves each scenario's crossover."""
    most = max((len(modelled.shifts) for modelled in result.scenarios.values()), default=1)
    figure = _figure(1.0 + 0.27 * most, assumptions(result)[: len(result.scenarios) + 1])
    for axes, (name, modelled) in zip(figure.subplots(1, len(result.scenarios), squeeze=False)[0], result.scenarios.items(), strict=True):
        _bars(axes, modelled)
        axes.set_title(f"{name}: crossover at {text.size(modelled.crossover_qubits)} qubits")
    return titled(figure, "What moves the crossover: every input halved and doubled")


def assumptions(result: EnergyResult) -> list[str]:
    """Return all that the crossovers rest on: every input of every scenario, what is counted, and how simulators were measured."""
    measured = result.measured
    how = f"{measured.machine.processor}, {measured.threads} thread; n2 = {TWO_QUBIT_GATES:g} Q, n1 = {ONE_QUBIT_GATES:g} Q"
    return [
        *(f"{name} ({modelled.scenario.about}): {inputs(modelled)}" for name, modelled in result.scenarios.items()),
        text.COUNTED,
        f"{text.MEASURED} {how}. Dotted: exact doubling.",
        f"Simulators' joules: {text.joules_known(result)}",
    ]


def inputs(modelled: Modelled) -> str:
    """Return every input of a scenario on a line."""
    return ", ".join(f"{label} {text.value_of(name, getattr(modelled.inputs, name))}" for name, label in text.INPUTS.items())


def with_prefix(value: float, unit: str) -> str:
    """Return a power of 1000 with its prefix, for an axis."""
    return f"1 {'fpnum kMGTPE'[round(math.log10(value) / 3) + 5].strip()}{unit}"


def _figure(height: float, assumed: Sequence[str]) -> Figure:
    """Return a figure with its assumptions under it, for whose lines it is made higher."""
    lines = [line for assumption in assumed for line in textwrap.wrap(assumption, NOTE_WIDTH, subsequent_indent="    ")]
    figure = Figure(figsize=(WIDTH, height + NOTE_INCHES * len(lines)))
    figure.supxlabel("\n".join(lines), x=0.008, ha="left", fontsize=NOTE_SIZE, color=MUTED)
    return figure


def _seconds(axes: Axes, result: EnergyResult) -> None:
    for curve in result.curves:
        axes.plot(curve.sizes, curve.seconds, label=curve.name, **_look(curve, result))
        _line(axes, curve.seconds_fit, partial(curve.doubling, curve.seconds), _look(curve, result)["color"])
    if result.measured.logistic is not None:
        _level(axes, result.measured.logistic.cpu_s, "logistic regression")
    _level(axes, result.sentence_encoder_s, "sentence encoder")
    _memory(axes, result.measured.memory_bytes, 4, "this machine's memory, real float32")
    _logarithmic(axes, "s", SECONDS)
    axes.set_title("seconds for one sentence: simulators, measured")
    axes.legend(loc="upper left")


def _joules(axes: Axes, result: EnergyResult) -> None:
    for (name, modelled), colour in zip(result.scenarios.items(), SCENARIO_COLOURS, strict=False):
        axes.plot(QUBITS, [qpu_j(modelled.inputs, qubits) for qubits in QUBITS], "-", color=colour, label=f"QPU ({name})")
        axes.plot(QUBITS, [gpu_j(modelled.inputs, qubits) for qubits in QUBITS], "--", color=colour, linewidth=1.2, label=f"GPUs ({name})")
        if modelled.crossover_qubits is not None:
            at = qpu_j(modelled.inputs, modelled.crossover_qubits)
            axes.plot(modelled.crossover_qubits, at, "o", color=colour, markersize=7, markeredgecolor="white", zorder=5)
            axes.annotate(
                f"{modelled.crossover_qubits:.1f}",
                (modelled.crossover_qubits, at),
                (-4, 7),
                textcoords="offset points",
                ha="right",
                color=colour,
            )
    for curve in result.curves:
        if curve.joules is not None:
            axes.plot(curve.sizes, curve.joules, **_look(curve, result))
            _line(axes, curve.joules_fit, partial(curve.doubling, curve.joules), _look(curve, result)["color"])
    if result.logistic_j is not None:
        _level(axes, result.logistic_j, "logistic regression")
    if result.sentence_encoder_j is not None:
        _level(axes, result.sentence_encoder_j, "sentence encoder")
    gpu = next(iter(result.scenarios.values())).scenario.gpu
    _memory(axes, gpu.memory_bytes, gpu.amplitude_bytes, "one GPU's memory")
    _logarithmic(axes, "J", JOULES)
    axes.set_title(f"joules for one sentence; simulators' (as left) {result.joules or 'not measured'}")
    axes.legend(loc="lower right")


def _look(curve: Curve, result: EnergyResult) -> dict[str, Any]:
    """Return how a simulator's points look: a colour of its own, and crosses where it was given one sentence at a time."""
    names = list(dict.fromkeys(other.points[0].simulator for other in result.curves))
    place = names.index(curve.points[0].simulator) % len(SIMULATOR_COLOURS)
    shape = {"marker": "x", "alpha": 0.7} if curve.points[0].alone else {"marker": MARKERS[place]}
    return {"color": SIMULATOR_COLOURS[place], "linestyle": "none", "markersize": 3.5, "zorder": 3, **shape}


def _line(axes: Axes, fit: Fit | None, doubling: Callable[[float], float], colour: str) -> None:
    """Draw a line with its band from the first size that it was fitted on, and exact doubling beyond the last."""
    if fit is None:
        return
    beyond = [qubits for qubits in QUBITS if qubits >= fit.sizes[-1]]
    axes.plot(beyond, [doubling(qubits) for qubits in beyond], ":", color=colour, linewidth=1.2)
    qubits = [size for size in QUBITS if size >= fit.sizes[0]]
    axes.plot(qubits, [fit.value(size) for size in qubits], "-", color=colour, linewidth=1)
    axes.fill_between(
        qubits, [fit.low(size) for size in qubits], [fit.high(size) for size in qubits], color=colour, alpha=0.15, linewidth=0
    )


def _level(axes: Axes, value: float, name: str) -> None:
    axes.axhline(value, color=FAINT, linewidth=1, zorder=1)
    axes.annotate(
        name, (1, value), (-2, 2), xycoords=axes.get_yaxis_transform(), textcoords="offset points", ha="right", color=MUTED, size=7.5
    )


def _memory(axes: Axes, memory_bytes: float, amplitude_bytes: float, whose: str) -> None:
    at = math.log2(memory_bytes / amplitude_bytes)
    axes.axvline(at, color=MUTED, linewidth=0.9, linestyle=":", zorder=1)
    axes.annotate(
        f"{whose} ends", (at, 0), (-3, 4), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
        rotation=90, ha="right", va="bottom", color=MUTED, size=7.5,
    )  # fmt: skip


def _logarithmic(axes: Axes, unit: str, limits: tuple[float, float]) -> None:
    axes.set_yscale("log")
    axes.set_ylim(limits)
    axes.yaxis.set_major_locator(LogLocator(base=1000, numticks=20))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: with_prefix(value, unit)))


def _bars(axes: Axes, modelled: Modelled) -> None:
    for place, shift in enumerate(reversed(modelled.shifts)):
        for moved, colour in ((shift.halved, DOWN), (shift.doubled, UP)):
            axes.barh(place, moved or 0, color=colour, height=0.6)
    names = [f"{text.INPUTS[shift.name]}, {text.value_of(shift.name, shift.value)}" for shift in reversed(modelled.shifts)]
    axes.set_yticks(range(len(names)), names)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.set_xlim(-1.25, 1.25)
    axes.xaxis.grid(True)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("qubits by which the crossover moves")
    axes.barh(0, 0, color=DOWN, label="halved")
    axes.barh(0, 0, color=UP, label="doubled")
    axes.legend(loc="lower right", handlelength=1)


if __name__ == "__main__":
    file, *watts = sys.argv[1:]
    scenarios = read_scenarios(packaged_input("energy/qpu.yaml"))
    draw(energy_result(scenarios, read_measured(Path(file)), float(watts[0]) if watts else None), Path(file).parent)
