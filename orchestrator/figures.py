"""The report's pictures, as pure functions from data to matplotlib figures.

Owns layout, colours and what a picture's title says. Does not own any number in it: those come from the analysis and the comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from orchestrator.analysis import Effects, half_normal
from orchestrator.comparisons import Comparison
from orchestrator.effects import Effect, Interval, lenth

INK, MUTED, FAINT, RULE = "#1f2933", "#66727f", "#b9c2cb", "#e3e7eb"
UP, DOWN = "#0072b2", "#d55e00"
LINES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Okabe and Ito's palette, told apart by colour-blind readers too."""
MARKERS = ("D", "s", "^", "v", "P", "X")
DPI = 192
WIDTH = 10.0
"""Inches: 960 pixels on the page, stored at twice that."""
MOST_LEVELS = 6
"""A factor with more levels than this is drawn as a cloud of rows with the fitted line."""
MOST_PANELS = 12
STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Inter", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.grid": False,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.titlesize": 11.5,
    "figure.titleweight": "bold",
    "figure.facecolor": "white",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.constrained_layout.use": True,
}


def save(figure: Figure, path: Path) -> Path:
    """Write the figure as a PNG at twice screen resolution, the same bytes for the same figure."""
    with mpl.rc_context(STYLE):
        figure.savefig(path, dpi=DPI, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return path


def signed(value: float, digits: int = 1) -> str:
    """Return a fraction as signed percentage points, with a real minus sign."""
    text = f"{100 * value:+.{digits}f}"
    return (text[1:] if float(text) == 0 else text).replace("-", "−")


@mpl.rc_context(STYLE)
def main_effects(effects: Effects, panels: Sequence[tuple[str, pd.DataFrame]]) -> Figure:
    """Draw level means, one panel per factor on the same axis.

    Args:
        effects: main effects, for the fitted lines and the titles.
        panels: per factor its short name and its `adjusted_means`, or rows with `coded`, `label` and `mean` for a factor of many levels.
    """
    columns = min(len(panels), 5)
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(WIDTH, 0.5 + 2.5 * lines))
    axes = np.atleast_1d(figure.subplots(lines, columns, sharey=True)).reshape(-1)
    for at, (name, means) in enumerate(panels):
        _main_effect_panel(axes[at], effects, at, name, means)
        if at % columns == 0:
            axes[at].set_ylabel(f"{_words(effects.response)}, %")
    for spare in axes[len(panels) :]:
        spare.set_axis_off()
    strongest = max((effect for effect in effects.effects if effect.stands_out), key=lambda effect: abs(effect.estimate), default=None)
    title = (
        "No factor moves accuracy beyond noise"
        if strongest is None
        else f"{strongest.label} moves accuracy most: {signed(strongest.estimate)} points"
    )
    return _titled(figure, title)


def _main_effect_panel(axes: Axes, effects: Effects, factor: int, name: str, means: pd.DataFrame) -> None:
    mine = [effect for effect in effects.effects if effect.factors == (factor,)]
    colour = _colour(max(mine, key=lambda effect: abs(effect.estimate))) if mine else FAINT
    axes.set_title(f"{name}\n", color=INK, fontweight="bold")
    axes.text(0, 1.02, _panel_note(mine), transform=axes.transAxes, color=colour if any(e.stands_out for e in mine) else MUTED, va="bottom")
    axes.yaxis.grid(True)
    if effects.mean is not None:
        axes.axhline(100 * effects.mean, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    x = means["coded"].map(lambda coded: coded[0]).to_numpy(dtype=float)
    y = 100 * means["mean"].to_numpy(dtype=float)
    if len(means) > MOST_LEVELS:
        axes.plot(x, y, "o", color=FAINT, markersize=4, zorder=2)
        if mine and effects.mean is not None:
            half = mine[0].estimate / 2
            axes.plot([-1, 1], [100 * (effects.mean - half), 100 * (effects.mean + half)], color=colour, linewidth=2, zorder=3)
        ends = [int(np.argmin(x)), int(np.argmax(x))] if len(x) else []
        axes.set_xticks(x[ends], [means["label"].iloc[at][0] for at in ends])
        return
    if means["low"].notna().all():
        axes.vlines(x, 100 * means["low"].astype(float), 100 * means["high"].astype(float), color=colour, linewidth=2, zorder=3)
    axes.plot(x, y, "-o", color=colour, linewidth=1.6, markersize=6, markeredgecolor="white", zorder=4)
    axes.set_xticks(x, [label[0] for label in means["label"]])
    if len(x) > 1:
        pad = 0.25 * (x.max() - x.min())
        axes.set_xlim(x.min() - pad, x.max() + pad)


def _panel_note(mine: Sequence[Effect]) -> str:
    if not mine:
        return "cannot be estimated"
    if len(mine) == 1:
        return f"{signed(mine[0].estimate)} points"
    values = [0.0, *(effect.estimate for effect in mine)]
    return f"range {100 * (max(values) - min(values)):.1f} points"


@mpl.rc_context(STYLE)
def forest(effects: Effects) -> Figure:
    """Draw every effect with its own interval (thick) and the interval that holds for all together (thin)."""
    shown = sorted(effects.effects, key=lambda effect: abs(effect.estimate))
    figure = Figure(figsize=(WIDTH, 1.15 + 0.34 * len(shown)))
    axes = figure.subplots()
    for y, effect in enumerate(shown):
        _interval(axes, y, effect.estimate, effect.interval, effect.simultaneous, _colour(effect))
        axes.text(
            1.01, y, _with_interval(effect.estimate, effect.interval), transform=axes.get_yaxis_transform(), va="center", fontsize=8.5
        )
    axes.set_yticks(range(len(shown)), [f"{effect.label}   {effect.change}" for effect in shown], color=INK)
    _zero_line(axes, len(shown))
    axes.set_xlabel(f"change of {_words(effects.response)}, percentage points")
    clear = sum(effect.stands_out for effect in shown)
    title = (
        f"{clear} of {len(shown)} effects stand out when all are looked at together"
        if clear
        else "No effect stands out when all are looked at together"
    )
    return _titled(figure, title)


@mpl.rc_context(STYLE)
def half_normal_plot(effects: Effects) -> Figure:
    """Draw sorted absolute effects against half-normal quantiles, with Lenth's margins; null effects follow the line."""
    points = half_normal(effects)
    margins = lenth(list(points["size"]))
    figure = Figure(figsize=(WIDTH / 2 - 0.1, 4.2))
    axes = figure.subplots()
    x, y = points["quantile"].to_numpy(dtype=float), 100 * points["size"].to_numpy(dtype=float)
    top = max(y.max() * 1.12, 1e-3)
    if margins is not None:
        axes.plot([0, x.max() * 1.1], [0, 100 * margins.pse * x.max() * 1.1], color=FAINT, linewidth=1.2, zorder=1)
        for label, size in (("margin of error", margins.margin), ("simultaneous margin", margins.simultaneous_margin)):
            if 100 * size < 1.6 * y.max():
                top = max(top, 108 * size)
                axes.axhline(100 * size, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
                axes.text(0.02 * x.max(), 100 * size, label, color=MUTED, fontsize=8, va="bottom")
    named = (points["stands_out"] | (points["size"] > (margins.margin if margins else np.inf))).to_numpy(dtype=bool)
    axes.scatter(x[~named], y[~named], s=30, color=FAINT, edgecolor="white", zorder=3)
    axes.scatter(x[named], y[named], s=38, color=UP, edgecolor="white", zorder=3)
    heights = _spread(y[named], 0.05 * top)
    for at, height in zip(np.flatnonzero(named), heights, strict=True):
        axes.annotate(points["label"][at], (x[at], y[at]), (x[at] - 0.05 * x.max(), height), ha="right", va="center", fontsize=8.5)
    axes.set_xlim(0, x.max() * 1.08)
    axes.set_ylim(0, top)
    axes.set_xlabel("half-normal quantile")
    axes.set_ylabel("absolute effect, percentage points")
    count = int(named.sum())
    return _titled(figure, f"{count} effect{'' if count == 1 else 's'} off the line" if count else "All effects lie on the line of noise")


@mpl.rc_context(STYLE)
def pareto(effects: Effects) -> Figure:
    """Draw absolute effects, largest first, with the margin each one has to pass."""
    shown = sorted(effects.effects, key=lambda effect: abs(effect.estimate))[-20:]
    figure = Figure(figsize=(WIDTH / 2 - 0.1, max(4.2, 1.1 + 0.26 * len(shown))))
    axes = figure.subplots()
    sizes = [100 * abs(effect.estimate) for effect in shown]
    axes.barh(range(len(shown)), sizes, height=0.62, color=[_colour(effect) for effect in shown])
    for y, effect in enumerate(shown):
        for interval, width in ((effect.interval, 1.6), (effect.simultaneous, 0.9)):
            if interval is not None:
                margin = 50 * (interval[1] - interval[0])
                axes.vlines(margin, y - 0.5, y + 0.5, color=INK, linewidth=width)
    axes.set_yticks(range(len(shown)), [effect.label for effect in shown], color=INK)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("absolute effect, percentage points")
    most = shown[-1]
    return _titled(figure, f"{most.label} is the largest effect" + ("" if most.stands_out else ", but within noise"))


@mpl.rc_context(STYLE)
def interactions(effects: Effects, cells: Sequence[tuple[Effect, str, str, pd.DataFrame]]) -> Figure:
    """Draw cell means of pairs of factors; lines that are not parallel are an interaction.

    Args:
        effects: the interactions, for the unit.
        cells: per pair its largest effect, both factors' short names and its `adjusted_means`.
    """
    columns = min(len(cells), 4)
    lines = -(-len(cells) // columns)
    figure = Figure(figsize=(WIDTH, 0.5 + 2.6 * lines))
    axes = np.atleast_1d(figure.subplots(lines, columns, sharey=True)).reshape(-1)
    for at, (effect, first, second, means) in enumerate(cells):
        ax = axes[at]
        ax.set_title(f"{first} × {second}\n", color=INK, fontweight="bold")
        ax.text(0, 1.02, f"{signed(effect.estimate)} points", transform=ax.transAxes, va="bottom", color=UP if effect.stands_out else MUTED)
        coded = np.array(means["coded"].to_list())
        for line, level in enumerate(np.unique(coded[:, 1])):
            mine = coded[:, 1] == level
            label = f"{second} {means['label'][np.flatnonzero(mine)[0]][1]}"
            ax.plot(coded[mine, 0], 100 * means["mean"][mine], marker=MARKERS[line % 6], color=LINES[line % 6], markersize=5, label=label)
        ticks = np.unique(coded[:, 0], return_index=True)
        ax.set_xticks(ticks[0], [means["label"][spot][0] for spot in ticks[1]])
        ax.set_xlabel(first)
        ax.margins(x=0.15, y=0.2)
        ax.yaxis.grid(True)
        ax.legend(loc="best", fontsize=8, handlelength=1.4)
        if at % columns == 0:
            ax.set_ylabel(f"{_words(effects.response)}, %")
    for spare in axes[len(cells) :]:
        spare.set_axis_off()
    clear = sum(effect.stands_out for effect, *_ in cells)
    return _titled(figure, f"{clear} of the pairs shown interact beyond noise" if clear else "No pair of factors interacts beyond noise")


@mpl.rc_context(STYLE)
def paired(comparisons: Sequence[Comparison]) -> Figure:
    """Draw each arm minus each baseline, split by split and with intervals."""
    baselines = list(dict.fromkeys(comparison.baseline for comparison in comparisons))
    places: list[tuple[float, Comparison]] = []
    y = 0.0
    for baseline in reversed(baselines):
        for comparison in [c for c in reversed(comparisons) if c.baseline == baseline]:
            places.append((y, comparison))
            y += 1
        y += 0.7
    figure = Figure(figsize=(WIDTH, 1.2 + 0.36 * y))
    axes = figure.subplots()
    for y, comparison in places:
        colour = (UP if comparison.mean > 0 else DOWN) if comparison.is_clear else MUTED
        values = [100 * value for value in comparison.by_split.values()]
        axes.plot(values, [y] * len(values), "o", color=FAINT, markersize=3.5, alpha=0.7, zorder=1)
        _interval(axes, y, comparison.mean, comparison.interval, comparison.simultaneous, colour)
        axes.text(
            1.01, y, _with_interval(comparison.mean, comparison.interval), transform=axes.get_yaxis_transform(), va="center", fontsize=8.5
        )
    axes.set_yticks([y for y, _ in places], [f"{c.arm}  −  {c.baseline}" for _, c in places], color=INK)
    _zero_line(axes, int(places[-1][0]) + 1)
    axes.set_xlabel("difference of test accuracy, percentage points: left of zero the baseline is better, right of it the quantum head")
    worse = sum(c.is_clear and c.mean < 0 for c in comparisons)
    better = sum(c.is_clear and c.mean > 0 for c in comparisons)
    return _titled(figure, f"Against baselines: clearly better in {better}, clearly worse in {worse} of {len(comparisons)} comparisons")


@mpl.rc_context(STYLE)
def splits(rows: pd.DataFrame, baselines: pd.DataFrame) -> Figure:
    """Draw the accuracy of every arm on every split; both tables are [splits, arms]."""
    figure = Figure(figsize=(WIDTH, 3.4))
    axes = figure.subplots()
    rng = np.random.default_rng(0)
    for arm in rows.columns:
        axes.plot(rows.index + rng.uniform(-0.12, 0.12, len(rows)), 100 * rows[arm], "o", color=FAINT, markersize=3.5, alpha=0.8, zorder=1)
    if not rows.empty:
        axes.plot(rows.index, 100 * rows.mean(axis=1), "-o", color=UP, linewidth=1.6, markersize=5, label="mean of rows", zorder=3)
    for at, name in enumerate(baselines.columns):
        marker, colour = MARKERS[at % 6], LINES[1 + at % 5]
        axes.plot(baselines.index, 100 * baselines[name], marker, color=colour, markersize=6, markeredgecolor="white", label=name)
    axes.yaxis.grid(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("split")
    axes.set_ylabel("test accuracy, %")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    middle = rows.sub(rows.mean(), axis=1).mean(axis=1) if not rows.empty else baselines.mean(axis=1)
    spread = 100 * float(middle.max() - middle.min())
    return _titled(figure, f"Splits differ by up to {spread:.1f} points; comparing within splits takes that out")


@mpl.rc_context(STYLE)
def parameters(arms: pd.DataFrame) -> Figure:
    """Draw mean accuracy against trained parameters; columns `arm`, `baseline` (bool), `parameters`, `mean`, `sd`."""
    figure = Figure(figsize=(WIDTH / 2 - 0.1, 4.2))
    axes = figure.subplots()
    for is_baseline, colour, marker in ((False, UP, "o"), (True, DOWN, "D")):
        group = arms[arms["baseline"] == is_baseline]
        x, y = group["parameters"].astype(float), 100 * group["mean"]
        axes.errorbar(x, y, 100 * group["sd"].fillna(0), fmt="none", ecolor=colour, elinewidth=0.9, alpha=0.35)
        axes.plot(
            x, y, marker, color=colour, markersize=5.5, markeredgecolor="white", label="baselines" if is_baseline else "rows of the design"
        )
    named = arms[arms["baseline"]]
    span = 100 * float(arms["mean"].max() - arms["mean"].min()) or 1.0
    heights = _spread(100 * named["mean"].to_numpy(dtype=float), 0.07 * span)
    for (_, arm), height in zip(named.iterrows(), heights, strict=True):
        spot = (float(arm["parameters"]), 100 * float(arm["mean"]))
        axes.annotate(str(arm["arm"]), (spot[0], height), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8.5)
    axes.set_xscale("log")
    axes.margins(x=0.18)
    axes.yaxis.grid(True)
    axes.set_xlabel("trained parameters (log scale)")
    axes.set_ylabel("mean test accuracy ± sd over splits, %")
    if arms["baseline"].nunique() > 1:
        axes.legend(loc="best")
    return _titled(figure, "Accuracy against size")


@mpl.rc_context(STYLE)
def learning_curves(curves: Sequence[tuple[str, pd.DataFrame]]) -> Figure:
    """Draw training and validation accuracy by epoch: the mean over splits and the range between them.

    Args:
        curves: per arm its title and a table with `epoch`, `train_accuracy` and `validation_accuracy` of all its splits.
    """
    columns = min(len(curves), 4)
    lines = -(-len(curves) // columns)
    figure = Figure(figsize=(WIDTH, 0.7 + 1.9 * lines))
    axes = np.atleast_1d(figure.subplots(lines, columns, sharex=True, sharey=True)).reshape(-1)
    for at, (title, table) in enumerate(curves):
        for column, colour, label in (("train_accuracy", FAINT, "training"), ("validation_accuracy", UP, "validation")):
            by_epoch = 100 * table.groupby("epoch")[column].agg(["mean", "min", "max"])
            axes[at].fill_between(by_epoch.index, by_epoch["min"], by_epoch["max"], color=colour, alpha=0.18, linewidth=0)
            axes[at].plot(by_epoch.index, by_epoch["mean"], color=MUTED if colour == FAINT else colour, linewidth=1.5, label=label)
        axes[at].set_title(title, color=INK)
        axes[at].yaxis.grid(True)
        if at % columns == 0:
            axes[at].set_ylabel("accuracy, %")
        if at + columns >= len(curves):
            axes[at].set_xlabel("epoch")
            axes[at].tick_params(labelbottom=True)
    for spare in axes[len(curves) :]:
        spare.set_axis_off()
    axes[0].legend(loc="lower right")
    return _titled(figure, "Learning curves: mean over splits, and the range between them")


def _titled(figure: Figure, title: str) -> Figure:
    figure.suptitle(title, x=0.008, ha="left", color=INK)
    return figure


def _words(response: str) -> str:
    return response.replace("_", " ")


def _colour(effect: Effect) -> str:
    if not effect.stands_out:
        return MUTED if effect.is_hint else FAINT
    return UP if effect.estimate > 0 else DOWN


def _interval(axes: Axes, y: float, middle: float, alone: Interval | None, together: Interval | None, colour: str) -> None:
    for interval, width in ((together, 1.2), (alone, 4.0)):
        if interval is not None:
            axes.hlines(y, 100 * interval[0], 100 * interval[1], color=colour, linewidth=width, zorder=2)
    axes.plot(100 * middle, y, "o", color=colour, markersize=7, markeredgecolor="white", zorder=3)


def _with_interval(value: float, interval: Interval | None) -> str:
    return signed(value) if interval is None else f"{signed(value)}  ({signed(interval[0])} to {signed(interval[1])})"


def _zero_line(axes: Axes, count: int) -> None:
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.set_ylim(-0.7, count - 0.3)
    axes.spines["left"].set_visible(False)
    axes.xaxis.grid(True)
    axes.set_axisbelow(True)


def _spread(heights: np.ndarray[Any, np.dtype[np.float64]], gap: float) -> list[float]:
    """Return label heights near the wanted ones, at least `gap` apart, in the same order."""
    placed = np.array(heights, dtype=float)
    below = -np.inf
    for at in np.argsort(placed, kind="stable"):
        placed[at] = max(placed[at], below + gap)
        below = placed[at]
    return [float(height) for height in placed]
