"""The two pictures: energy against qubits, and what moves the crossover; each with all its assumptions under it.

Owns drawing. Does not own any number or sentence.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from hadamard.orchestrator.commands.crossover import words
from hadamard.orchestrator.commands.crossover.findings import Curve, Findings, Modelled, holds
from hadamard.orchestrator.commands.crossover.fit import Fit
from hadamard.orchestrator.commands.crossover.models import gpu_j, qpu_j
from hadamard.orchestrator.plotting import DOWN, FAINT, INK, LINES, MARKERS, MUTED, STYLE, UP, WIDTH, save, titled

QUBITS = np.arange(4, 52.01, 0.25)
SECONDS, JOULES = (3e-8, 3e11), (1e-12, 1e12)
"""What the axes show; a band may go beyond."""
SCENARIO_COLOURS = (LINES[0], LINES[5], LINES[4])
SIMULATOR_COLOURS = (LINES[2], LINES[3], LINES[1], INK, MUTED, LINES[4])
NOTE_SIZE, NOTE_WIDTH, NOTE_INCHES = 7.0, 178, 0.128
"""Points, characters and inches of a line of assumptions."""


def draw(found: Findings, directory: Path) -> dict[str, Path]:
    """Draw `energy.png` and `crossover.png` into a directory; return their paths by name."""
    pictures = {"energy": energy_figure(found), "crossover": tornado(found)}
    return {name: save(figure, directory / f"{name}.png") for name, figure in pictures.items()}


@mpl.rc_context(STYLE)
def energy_figure(found: Findings) -> Figure:
    """Draw seconds of the measured simulators and joules of everything, for one sentence, against qubits."""
    figure = _figure(4.6, words.assumptions(found))
    time, energy = figure.subplots(1, 2)
    _seconds(time, found)
    _joules(energy, found)
    for axes in (time, energy):
        axes.set_xlim(QUBITS[0] - 1, QUBITS[-1])
        axes.set_xticks(range(4, 53, 6))
        axes.set_xlabel("qubits")
        axes.yaxis.grid(True)
    crossovers = [f"{words.size(one.crossover)} ({name})" for name, one in found.modelled.items()]
    return titled(figure, f"One inference: a QPU takes less energy than GPUs from {' or '.join(crossovers)} qubits")


@mpl.rc_context(STYLE)
def tornado(found: Findings) -> Figure:
    """Draw by how many qubits each input, halved and doubled, moves each scenario's crossover."""
    most = max((len(one.shifts) for one in found.modelled.values()), default=1)
    figure = _figure(1.0 + 0.27 * most, words.assumptions(found)[: len(found.modelled) + 1])
    for axes, (name, one) in zip(figure.subplots(1, len(found.modelled), squeeze=False)[0], found.modelled.items(), strict=True):
        _bars(axes, one)
        axes.set_title(f"{name}: crossover at {words.size(one.crossover)} qubits")
    return titled(figure, "What moves the crossover: every input halved and doubled")


def _figure(height: float, assumed: Sequence[str]) -> Figure:
    """Return a figure with its assumptions under it, for whose lines it is made higher."""
    lines = [line for one in assumed for line in textwrap.wrap(one, NOTE_WIDTH, subsequent_indent="    ")]
    figure = Figure(figsize=(WIDTH, height + NOTE_INCHES * len(lines)))
    figure.supxlabel("\n".join(lines), x=0.008, ha="left", fontsize=NOTE_SIZE, color=MUTED)
    return figure


def _seconds(axes: Axes, found: Findings) -> None:
    for curve in found.curves:
        axes.plot(curve.sizes, curve.seconds, label=curve.name, **_look(curve, found))
        _line(axes, curve.seconds_fit, curve.doubling_s, _look(curve, found)["color"])
    if found.measured.logistic is not None:
        _level(axes, found.measured.logistic.cpu_s, "logistic regression")
    _level(axes, found.encoder_s, "sentence encoder")
    _memory(axes, found.measured.memory_bytes, 4, "this machine's memory, real float32")
    _logarithmic(axes, "s", SECONDS)
    axes.set_title("seconds for one sentence: simulators, measured")
    axes.legend(loc="upper left")


def _joules(axes: Axes, found: Findings) -> None:
    for (name, one), colour in zip(found.modelled.items(), SCENARIO_COLOURS, strict=False):
        axes.plot(QUBITS, [qpu_j(one.inputs, qubits) for qubits in QUBITS], "-", color=colour, label=f"QPU ({name})")
        axes.plot(QUBITS, [gpu_j(one.inputs, qubits) for qubits in QUBITS], "--", color=colour, linewidth=1.2, label=f"GPUs ({name})")
        if one.crossover is not None:
            at = qpu_j(one.inputs, one.crossover)
            axes.plot(one.crossover, at, "o", color=colour, markersize=7, markeredgecolor="white", zorder=5)
            axes.annotate(f"{one.crossover:.1f}", (one.crossover, at), (-4, 7), textcoords="offset points", ha="right", color=colour)
    for curve in found.curves:
        if curve.joules is not None:
            axes.plot(curve.sizes, curve.joules, **_look(curve, found))
            _line(axes, curve.joules_fit, curve.doubling_j, _look(curve, found)["color"])
    if found.logistic_j is not None:
        _level(axes, found.logistic_j, "logistic regression")
    if found.encoder_j is not None:
        _level(axes, found.encoder_j, "sentence encoder")
    gpu = next(iter(found.modelled.values())).scenario.gpu
    _memory(axes, gpu.memory_bytes, gpu.amplitude_bytes, "one GPU's memory")
    _logarithmic(axes, "J", JOULES)
    axes.set_title(f"joules for one sentence; simulators' (as left) {found.how or 'not measured'}")
    axes.legend(loc="lower right")


def _look(curve: Curve, found: Findings) -> dict[str, Any]:
    """Return how a simulator's points look: a colour of its own, and crosses where it was given one sentence at a time."""
    names = list(dict.fromkeys(one.points[0].simulator for one in found.curves))
    place = names.index(curve.points[0].simulator) % len(SIMULATOR_COLOURS)
    shape = {"marker": "x", "alpha": 0.7} if curve.alone else {"marker": MARKERS[place]}
    return {"color": SIMULATOR_COLOURS[place], "linestyle": "none", "markersize": 3.5, "zorder": 3, **shape}


def _line(axes: Axes, fit: Fit | None, doubling: Callable[[float], float], colour: str) -> None:
    """Draw a line with its band from the first size that it was fitted on, and exact doubling beyond the last."""
    if fit is None:
        return
    beyond = [one for one in QUBITS if one >= fit.sizes[-1]]
    axes.plot(beyond, [doubling(one) for one in beyond], ":", color=colour, linewidth=1.2)
    qubits = [one for one in QUBITS if one >= fit.sizes[0]]
    axes.plot(qubits, [fit.value(one) for one in qubits], "-", color=colour, linewidth=1)
    axes.fill_between(qubits, [fit.low(one) for one in qubits], [fit.high(one) for one in qubits], color=colour, alpha=0.15, linewidth=0)


def _level(axes: Axes, value: float, name: str) -> None:
    axes.axhline(value, color=FAINT, linewidth=1, zorder=1)
    axes.annotate(
        name, (1, value), (-2, 2), xycoords=axes.get_yaxis_transform(), textcoords="offset points", ha="right", color=MUTED, size=7.5
    )


def _memory(axes: Axes, memory_bytes: float, amplitude_bytes: float, whose: str) -> None:
    at = holds(memory_bytes, amplitude_bytes)
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
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.with_prefix(value, unit)))


def _bars(axes: Axes, one: Modelled) -> None:
    for place, shift in enumerate(reversed(one.shifts)):
        for moved, colour in ((shift.halved, DOWN), (shift.doubled, UP)):
            axes.barh(place, moved or 0, color=colour, height=0.6)
    names = [f"{words.INPUTS[shift.name]}, {words.value_of(shift.name, shift.value)}" for shift in reversed(one.shifts)]
    axes.set_yticks(range(len(names)), names)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.set_xlim(-1.25, 1.25)
    axes.xaxis.grid(True)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("qubits by which the crossover moves")
    axes.barh(0, 0, color=DOWN, label="halved")
    axes.barh(0, 0, color=UP, label="doubled")
    axes.legend(loc="lower right", handlelength=1)
