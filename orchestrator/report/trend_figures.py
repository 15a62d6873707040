"""Figures of accuracy over the number of qubits and over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hadamard.orchestrator.analysis.effects import Effect
from hadamard.orchestrator.formats import signed_plus_minus
from hadamard.orchestrator.plotting import INK, LINES, MARKERS, MUTED, STYLE, UP, WIDTH, panels, spread_labels, titled


@dataclass(frozen=True)
class Trend:
    """Accuracy over the number of qubits, at one level of another factor or averaged over all."""

    label: str
    table: pd.DataFrame
    """Columns `qubits`, `mean`, `low`, `high`; the latter two missing where there is no error term."""
    baseline: tuple[str, float] | None = None
    """Name and mean accuracy of a classical head on the same embeddings."""


@mpl.rc_context(STYLE)
def qubit_trend(trends: Sequence[Trend], effect: Effect | None) -> Figure:
    """Draw accuracy against qubits, one line with its band per trend, and classical heads as dashed lines.

    Args:
        trends: one or a few.
        effect: of the number of qubits from lowest to highest, for the title.
    """
    figure = Figure(figsize=(WIDTH, 3.9))
    axes = figure.subplots()
    right = max(float(trend.table["qubits"].max()) for trend in trends)
    left = min(float(trend.table["qubits"].min()) for trend in trends)
    ends: list[tuple[float, str, str]] = []
    for at, trend in enumerate(trends):
        colour, x, y = LINES[at % 6], trend.table["qubits"].astype(float), 100 * trend.table["mean"].astype(float)
        if trend.table["low"].notna().all():
            axes.fill_between(
                x, 100 * trend.table["low"].astype(float), 100 * trend.table["high"].astype(float), color=colour, alpha=0.2, linewidth=0
            )
        axes.plot(x, y, marker=MARKERS[at % 6], color=colour, linewidth=1.8, markersize=6, markeredgecolor="white")
        ends.append((float(y.iloc[-1]), trend.label, colour))
        if trend.baseline is not None:
            name, mean = trend.baseline
            axes.axhline(100 * mean, color=colour if len(trends) > 1 else MUTED, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
            ends.append((100 * mean, name, colour if len(trends) > 1 else MUTED))
    low, high = axes.get_ylim()
    for (_, text, colour), height in zip(ends, spread_labels(np.array([end[0] for end in ends]), 0.055 * (high - low)), strict=True):
        axes.text(1.01, height, text, color=colour, transform=axes.get_yaxis_transform(), va="center")
    axes.set_xlim(left - 0.06 * (right - left), right + 0.03 * (right - left))
    axes.set_xticks(sorted({float(x) for trend in trends for x in trend.table["qubits"]}))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.grid(True)
    axes.set_xlabel("qubits")
    axes.set_ylabel("test accuracy, %")
    return titled(figure, _trend_title(effect))


def _trend_title(effect: Effect | None) -> str:
    if effect is None or effect.interval is None:
        return "Accuracy against qubits"
    size = f"{signed_plus_minus(effect.estimate, effect.simultaneous)} points, {effect.change}"
    if not effect.stands_out:
        return f"Accuracy does not clearly change with qubits: {size}"
    return f"Accuracy {'rises' if effect.estimate > 0 else 'falls'} with qubits: {size}"


@mpl.rc_context(STYLE)
def learning_curves(curves: Sequence[tuple[str, pd.DataFrame]]) -> Figure:
    """Draw training and validation accuracy by epoch: the mean over splits and the range between them.

    Args:
        curves: per arm its title and a table with `epoch`, `train_accuracy` and `validation_accuracy` of all its splits.
    """
    figure, axes = panels(len(curves), 1.9, 4, "accuracy, %", share_x=True)
    for ax, (title, table) in zip(axes, curves, strict=True):
        for column, colour, label in (("train_accuracy", MUTED, "training"), ("validation_accuracy", UP, "validation")):
            by_epoch = 100 * table.groupby("epoch")[column].agg(["mean", "min", "max"])
            ax.fill_between(by_epoch.index, by_epoch["min"], by_epoch["max"], color=colour, alpha=0.18, linewidth=0)
            ax.plot(by_epoch.index, by_epoch["mean"], color=colour, linewidth=1.5, label=label)
        ax.set_title(title, color=INK)
    figure.supxlabel("epoch", color=MUTED, fontsize=9)
    axes[0].legend(loc="lower right")
    last = [table[table["epoch"] == table["epoch"].max()] for _, table in curves]
    gaps = [100 * float((end["train_accuracy"] - end["validation_accuracy"]).mean()) for end in last]
    return titled(figure, f"Training minus validation accuracy at the last epoch: {_range(gaps)} points")


def _range(numbers: Sequence[float]) -> str:
    low, high = (f"{number + 0.0:+.0f}".replace("-", "−") for number in (min(numbers), max(numbers)))
    return low if low == high else f"{low} to {high}"
