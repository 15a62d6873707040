"""The report's pictures, as pure functions from data to matplotlib figures.

Owns what each picture shows and what its title says. Does not own the look (drawing), nor any number: those come from the analysis.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from orchestrator.analysis.comparisons import Comparison
from orchestrator.analysis.effects import Effect, Effects, half_normal
from orchestrator.analysis.inference import lenth
from orchestrator.design.factors import Factor, level_label, short_names
from orchestrator.report.drawing import (
    DOWN,
    FAINT,
    INK,
    LINES,
    MARKERS,
    MUTED,
    STYLE,
    UP,
    WIDTH,
    effect_colour,
    mark_interval,
    note_interval,
    panel_title,
    panels,
    spread_labels,
    titled,
    words,
    zero_line,
)
from orchestrator.report.formats import signed

MOST_LEVELS = 6
"""A factor with more levels than this is drawn as a cloud of rows with the fitted line."""


@mpl.rc_context(STYLE)
def main_effects(effects: Effects, factors: Sequence[Factor], means: Sequence[pd.DataFrame]) -> Figure:
    """Draw level means, one panel per factor on the same axis.

    Args:
        effects: main effects, for the fitted lines and the titles.
        factors: the design's factors.
        means: per factor its `adjusted_means`, or rows with `coded` and `mean` for a factor of many levels.
    """
    figure, axes = panels(len(factors), 2.5, 5, f"{words(effects.response)}, %")
    for at, name in enumerate(short_names(factors)):
        mine = [effect for effect in effects.effects if effect.factors == (at,)]
        colour = effect_colour(max(mine, key=lambda effect: abs(effect.estimate))) if mine else FAINT
        panel_title(axes[at], name, _panel_note(mine), colour if any(effect.stands_out for effect in mine) else MUTED)
        _main_effect_panel(axes[at], effects, mine, factors[at], means[at], colour)
    strongest = max((effect for effect in effects.effects if effect.stands_out), key=lambda effect: abs(effect.estimate), default=None)
    if not any(effect.interval for effect in effects.effects):
        return titled(figure, "Level means without intervals: too few trials to measure noise")
    if strongest is None:
        return titled(figure, "No factor's effect stands out")
    return titled(figure, f"{strongest.label} moves accuracy most: {signed(strongest.estimate)} points")


def _main_effect_panel(axes: Axes, effects: Effects, mine: Sequence[Effect], factor: Factor, means: pd.DataFrame, colour: str) -> None:
    if effects.mean is not None:
        axes.axhline(100 * effects.mean, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    x = means["coded"].map(lambda coded: coded[0]).to_numpy(dtype=float)
    y = 100 * means["mean"].to_numpy(dtype=float)
    if len(means) > MOST_LEVELS:
        axes.plot(x, y, "o", color=FAINT, markersize=4, zorder=2)
        if mine and effects.mean is not None:
            ends = np.array([-1.0, 1.0])
            axes.plot(ends, 100 * (effects.mean + mine[0].estimate / 2 * (ends - x.mean())), color=colour, linewidth=2, zorder=3)
        axes.set_xticks([-1, 1], [level_label(factor, -1), level_label(factor, 1)])
        axes.set_xlim(-1.4, 1.4)
        return
    if means["low"].notna().all():
        axes.vlines(x, 100 * means["low"].astype(float), 100 * means["high"].astype(float), color=colour, linewidth=2.5, zorder=3)
    axes.plot(x, y, "o" if len(mine) > 1 else "-o", color=colour, linewidth=1.4, markersize=5, zorder=4)
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
        mark_interval(axes, y, effect.estimate, effect.interval, effect.simultaneous, effect_colour(effect))
        note_interval(axes, y, effect.estimate, effect.interval)
    axes.set_yticks(range(len(shown)), [f"{effect.label}   {effect.change}" for effect in shown], color=INK)
    intervals = any(effect.interval for effect in shown)
    zero_line(axes, len(shown) - 1, intervals)
    axes.set_xlabel(f"change of {words(effects.response)}, percentage points")
    clear = sum(effect.stands_out for effect in shown)
    if not intervals:
        return titled(figure, "Effects without intervals: too few trials to measure noise")
    if len(shown) == 1:
        return titled(figure, f"{shown[0].label} {'stands out from noise' if clear else 'does not stand out from noise'}")
    stand = "1 effect stands" if clear == 1 else f"{clear or 'No'} effects stand"
    return titled(figure, f"{stand} out when all {len(shown)} are looked at together")


@mpl.rc_context(STYLE)
def half_normal_plot(effects: Effects) -> Figure:
    """Draw sorted absolute effects against half-normal quantiles, with Lenth's margins; null effects follow the line."""
    points = half_normal(effects)
    margins = lenth(list(points["size"]))
    figure = Figure(figsize=(WIDTH / 2 - 0.1, 4.2))
    axes = figure.subplots()
    x, y = points["quantile"].to_numpy(dtype=float), 100 * points["size"].to_numpy(dtype=float)
    colours = points["verdict"].map({"stands out": UP, "hint": MUTED}).fillna(FAINT)
    named = np.flatnonzero(colours != FAINT)
    right, top = 1.08 * x.max(), max(1.12 * y.max(), 1e-3)
    errors = [effect.standard_error for effect in effects.effects if effect.standard_error is not None]
    if errors:
        axes.plot([0, right], [0, 100 * float(np.median(errors)) * right], color=FAINT, linewidth=1.2, zorder=1)
    if margins is not None:
        for label, size in (("Lenth's margin", 100 * margins.margin), ("Lenth's simultaneous margin", 100 * margins.simultaneous_margin)):
            if size < 1.6 * y.max():
                top = max(top, 1.1 * size)
                axes.axhline(size, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
                axes.text(0.02 * right, size, label, color=MUTED, fontsize=8, va="bottom")
    axes.scatter(x, y, s=36, color=list(colours), edgecolor="white", zorder=3)
    for at, height in zip(named, spread_labels(y[named], 0.05 * top), strict=True):
        axes.annotate(points["label"][at], (x[at] - 0.04 * right, height), ha="right", va="center", fontsize=8.5)
    axes.set_xlim(0, right)
    axes.set_ylim(0, top)
    axes.xaxis.set_major_locator(MaxNLocator(5, prune="lower"))
    axes.set_xlabel("half-normal quantile")
    axes.set_ylabel("absolute effect, percentage points")
    clear = int((points["verdict"] == "stands out").sum())
    rise = "1 effect rises" if clear == 1 else f"{clear or 'No'} effects rise"
    return titled(figure, f"{rise} clearly from the line of noise")


@mpl.rc_context(STYLE)
def pareto(effects: Effects) -> Figure:
    """Draw absolute effects, largest first, with the margin each one has to pass."""
    shown = sorted(effects.effects, key=lambda effect: abs(effect.estimate))[-20:]
    figure = Figure(figsize=(WIDTH / 2 - 0.1, max(4.2, 1.1 + 0.26 * len(shown))))
    axes = figure.subplots()
    sizes = [100 * abs(effect.estimate) for effect in shown]
    axes.barh(range(len(shown)), sizes, height=0.62, color=[effect_colour(effect) for effect in shown])
    for y, effect in enumerate(shown):
        for interval, width in ((effect.interval, 1.6), (effect.simultaneous, 0.9)):
            if interval is not None:
                margin = 50 * (interval[1] - interval[0])
                axes.vlines(margin, y - 0.5, y + 0.5, color=INK, linewidth=width)
                if y == len(shown) - 1:
                    name, side = ("alone ", "right") if width > 1 else (" together", "left")
                    axes.text(margin, y + 0.55, name, color=MUTED, fontsize=8, va="bottom", ha=side)
    axes.set_yticks(range(len(shown)), [effect.label for effect in shown], color=INK)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("absolute effect, percentage points")
    most = shown[-1]
    return titled(
        figure,
        f"{most.label} is the largest effect" + {"hint": ", no more than a hint", "noise": ", but within noise"}.get(most.verdict, ""),
    )


@mpl.rc_context(STYLE)
def interactions(effects: Effects, cells: Sequence[tuple[Effect, str, str, pd.DataFrame]]) -> Figure:
    """Draw cell means of pairs of factors; lines that are not parallel are an interaction.

    Args:
        effects: the interactions, for the unit.
        cells: per pair its largest effect, both factors' short names and its `adjusted_means`.
    """
    figure, axes = panels(len(cells), 2.6, 4, f"{words(effects.response)}, %")
    for ax, (effect, first, second, means) in zip(axes, cells, strict=True):
        panel_title(ax, f"{first} × {second}", f"{signed(effect.estimate)} points", UP if effect.stands_out else MUTED)
        coded = np.array(means["coded"].to_list())
        for line, level in enumerate(np.unique(coded[:, 1])):
            mine = coded[:, 1] == level
            label = f"{second} {means['label'][np.flatnonzero(mine)[0]][1]}"
            ax.plot(coded[mine, 0], 100 * means["mean"][mine], marker=MARKERS[line % 6], color=LINES[line % 6], markersize=5, label=label)
        ticks = np.unique(coded[:, 0], return_index=True)
        ax.set_xticks(ticks[0], [means["label"][spot][0] for spot in ticks[1]])
        ax.set_xlabel(first)
        ax.margins(x=0.15, y=0.2)
        ax.legend(loc="best", fontsize=8, handlelength=1.4)
    if not any(effect.interval for effect, *_ in cells):
        return titled(figure, "Cell means without intervals: too few trials to measure noise")
    clear = sum(effect.stands_out for effect, *_ in cells)
    return titled(figure, "1 pair of factors interacts" if clear == 1 else f"{clear or 'No'} pairs of factors interact beyond noise")


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
        colour = (UP if comparison.mean > 0 else DOWN) if comparison.stands_out else MUTED
        values = [100 * value for value in comparison.by_split.values()]
        axes.plot(values, [y - 0.3] * len(values), "o", color=FAINT, markersize=3, zorder=1)
        mark_interval(axes, y, comparison.mean, comparison.interval, comparison.simultaneous, colour)
        note_interval(axes, y, comparison.mean, comparison.interval)
    axes.set_yticks([y for y, _ in places], [f"{c.title}  −  {c.baseline}" for _, c in places], color=INK)
    intervals = any(comparison.interval for comparison in comparisons)
    zero_line(axes, places[-1][0], intervals)
    axes.set_xlabel("difference of test accuracy, percentage points: left of zero the baseline is better, right of it the quantum head")
    if not intervals:
        return titled(figure, "Against baselines, without intervals: too few common splits")
    worse = sum(c.stands_out and c.mean < 0 for c in comparisons)
    better = sum(c.stands_out and c.mean > 0 for c in comparisons)
    return titled(figure, f"Against baselines: clearly better in {better}, clearly worse in {worse} of {len(comparisons)} comparisons")


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
        beside = baselines.index + 0.16 * (at - (len(baselines.columns) - 1) / 2)
        axes.plot(beside, 100 * baselines[name], marker, color=colour, markersize=6, markeredgecolor="white", label=name)
    axes.yaxis.grid(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("split")
    axes.set_ylabel("test accuracy, %")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    middle = rows.sub(rows.mean(), axis=1).mean(axis=1) if not rows.empty else baselines.mean(axis=1)
    spread = 100 * float(middle.max() - middle.min())
    return titled(figure, f"Splits differ by up to {spread:.1f} points; comparing within splits takes that out")


@mpl.rc_context(STYLE)
def parameters(arms: pd.DataFrame) -> Figure:
    """Draw mean accuracy against trained parameters; columns `arm`, `baseline` (bool), `parameters`, `mean`, `sd`."""
    figure = Figure(figsize=(WIDTH, 3.6))
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
    heights = spread_labels(100 * named["mean"].to_numpy(dtype=float), 0.07 * span)
    for (_, arm), height in zip(named.iterrows(), heights, strict=True):
        spot = (float(arm["parameters"]), 100 * float(arm["mean"]))
        axes.annotate(str(arm["arm"]), (spot[0], height), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.1)
    axes.yaxis.grid(True)
    axes.set_xlabel("trained parameters (log scale)")
    axes.set_ylabel("mean test accuracy ± sd over splits, %")
    if arms["baseline"].nunique() > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return titled(figure, "Accuracy against the number of trained parameters")


@mpl.rc_context(STYLE)
def learning_curves(curves: Sequence[tuple[str, pd.DataFrame]]) -> Figure:
    """Draw training and validation accuracy by epoch: the mean over splits and the range between them.

    Args:
        curves: per arm its title and a table with `epoch`, `train_accuracy` and `validation_accuracy` of all its splits.
    """
    figure, axes = panels(len(curves), 1.9, 4, "accuracy, %", share_x=True)
    for ax, (title, table) in zip(axes, curves, strict=True):
        for column, colour, label in (("train_accuracy", FAINT, "training"), ("validation_accuracy", UP, "validation")):
            by_epoch = 100 * table.groupby("epoch")[column].agg(["mean", "min", "max"])
            ax.fill_between(by_epoch.index, by_epoch["min"], by_epoch["max"], color=colour, alpha=0.18, linewidth=0)
            ax.plot(by_epoch.index, by_epoch["mean"], color=MUTED if colour == FAINT else colour, linewidth=1.5, label=label)
        ax.set_title(title, color=INK)
    figure.supxlabel("epoch", color=MUTED, fontsize=9)
    axes[0].legend(loc="lower right")
    return titled(figure, "Accuracy by epoch: mean over splits, and the range between them")
