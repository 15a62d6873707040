"""Figures of effects: level means, effects with their intervals, the half-normal plot, interactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hadamard.orchestrator.analysis.effects import Effect, Effects, half_normal
from hadamard.orchestrator.analysis.inference import lenth
from hadamard.orchestrator.design.factors import Factor, level_label, short_names
from hadamard.orchestrator.formats import signed
from hadamard.orchestrator.plotting import (
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
from hadamard.orchestrator.report.answers import name_of
from hadamard.orchestrator.report.published import Gap

MOST_LEVELS = 6
"""A numeric factor with more levels than this is drawn as a cloud of rows with the fitted line."""
MOST_LETTERS = 22
"""Under a panel; longer rows of level labels are turned."""
MOST_EFFECTS = 24
"""Of more effects than this only the largest are drawn; the table has all."""


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
    return titled(figure, f"The largest effect: {name_of(strongest.label)}, {signed(strongest.estimate)} points")


def _main_effect_panel(axes: Axes, effects: Effects, mine: Sequence[Effect], factor: Factor, means: pd.DataFrame, colour: str) -> None:
    if effects.mean is not None:
        axes.axhline(100 * effects.mean, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    x = means["coded"].map(lambda coded: coded[0]).to_numpy(dtype=float)
    y = 100 * means["mean"].to_numpy(dtype=float)
    if len(means) > MOST_LEVELS and not factor.is_unordered:
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
    labels = [label[0] for label in means["label"]]
    crowded = sum(map(len, labels)) > MOST_LETTERS
    axes.set_xticks(
        x, labels, rotation=40 if crowded else 0, ha="right" if crowded else "center", rotation_mode="anchor" if crowded else None
    )
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
def forest(effects: Effects, published: Mapping[str, Gap]) -> Figure:
    """Draw the effects with their own intervals (thick) and the intervals that hold for all together (thin).

    Args:
        effects: main effects.
        published: by an effect's label what others measured for the same change.
    """
    shown = sorted(effects.effects, key=lambda effect: abs(effect.estimate))[-MOST_EFFECTS:]
    figure = Figure(figsize=(WIDTH, 1.15 + 0.34 * len(shown)))
    axes = figure.subplots()
    for y, effect in enumerate(shown):
        mark_interval(axes, y, effect.estimate, effect.interval, effect.simultaneous, effect_colour(effect))
        note_interval(axes, y, effect.estimate, effect.interval)
        if gap := published.get(effect.label):
            axes.plot(100 * gap.size, y, "|", color=INK, markersize=15, markeredgewidth=1.6, zorder=3)
            axes.annotate(gap.what, (100 * gap.size, y - 0.42), ha="right", va="center", fontsize=7.5)
    axes.set_yticks(range(len(shown)), [f"{effect.label}   {effect.change}" for effect in shown], color=INK)
    intervals = any(effect.interval for effect in shown)
    zero_line(axes, len(shown) - 1, intervals)
    axes.set_xlabel(f"change of {words(effects.response)}, percentage points")
    clear = sum(effect.stands_out for effect in effects.effects)
    if not intervals:
        return titled(figure, "Effects without intervals: too few trials to measure noise")
    if len(effects.effects) == 1:
        return titled(figure, f"{shown[0].label} {'stands out from noise' if clear else 'does not stand out from noise'}")
    stand = "1 effect stands" if clear == 1 else f"{clear or 'No'} effects stand"
    return titled(figure, f"{stand} out when all {len(effects.effects)} are looked at together")


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
            if means["low"].notna().all():
                low, high = (100 * means[end][mine].astype(float) for end in ("low", "high"))
                ax.vlines(coded[mine, 0], low, high, color=LINES[line % 6], linewidth=1.2, alpha=0.7)
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
