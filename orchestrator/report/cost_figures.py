"""The figure of accuracy against what it costs: trained parameters, and joules or seconds of a trial, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from hadamard.orchestrator.formats import percent
from hadamard.orchestrator.plotting import DOWN, MUTED, STYLE, UP, WIDTH, spread_labels, titled
from hadamard.orchestrator.report.answers import Nouns

KINDS = {
    "parameters": "trained parameters (log scale)",
    "energy_j": "joules per trial, {origin} (log scale)",
    "train_s": "seconds per trial (log scale); energy was not measured",
}


@mpl.rc_context(STYLE)
def tradeoffs(arms: pd.DataFrame, columns: Sequence[str], nouns: Nouns, origin: str) -> Figure:
    """Draw mean accuracy of arms against each cost, one panel per cost on the same y axis, with the Pareto front named.

    Args:
        arms: as `arm_means` makes it, with costs.
        columns: which costs, of `KINDS`; each is known for two arms or more.
        nouns: what rows and baselines are called.
        origin: where joules come from, in a word.
    """
    figure = Figure(figsize=(WIDTH, 4.0))
    for axes, column in zip(figure.subplots(1, len(columns), sharey=True, squeeze=False)[0], columns, strict=True):
        known = arms[arms[column].notna() & (arms[column] > 0)].copy()
        known["cost"] = known[column].astype(float)
        _panel(axes, known, pareto_front(known), nouns)
        axes.set_xlabel(KINDS[column].format(origin=origin))
    figure.axes[0].set_ylabel("mean test accuracy, %")
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.axes[-1].legend(handles, names, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return titled(figure, _title(arms, nouns))


def pareto_front(arms: pd.DataFrame) -> pd.DataFrame:
    """Return the arms that no other arm equals or beats in accuracy for the same `cost` or less, cheapest first."""
    ordered = arms.sort_values(["cost", "mean"], ascending=[True, False], kind="stable")
    best = ordered["mean"].cummax().shift(fill_value=-np.inf)
    return ordered[ordered["mean"] > best]


def _panel(axes: Axes, arms: pd.DataFrame, front: pd.DataFrame, nouns: Nouns) -> None:
    for is_baseline, colour, marker, label in ((False, UP, "o", f"{nouns.row}s"), (True, DOWN, "D", f"{nouns.baseline}s")):
        group = arms[arms["baseline"] == is_baseline]
        if len(group):
            axes.plot(
                group["cost"], 100 * group["mean"], marker, color=colour, markersize=5.5, markeredgecolor="white", label=label, zorder=3
            )
    right = float(arms["cost"].max()) * 1.5
    x, y = np.array([*front["cost"], right]), 100 * np.array([*front["mean"], front["mean"].iloc[-1]])
    axes.step(x, y, where="post", color=MUTED, linewidth=1.1, zorder=1, label="Pareto front")
    axes.set_xscale("log")
    axes.set_xlim(float(arms["cost"].min()) / (right / float(arms["cost"].min())) ** 0.3, right)
    few = float(arms["cost"].max() / arms["cost"].min()) < 100
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.grid(True)
    span = 100 * float(arms["mean"].max() - arms["mean"].min()) or 1.0
    axes.margins(y=0.1)
    for (_, arm), height in zip(front.iterrows(), spread_labels(100 * front["mean"].to_numpy(dtype=float), 0.055 * span), strict=True):
        axes.annotate(
            str(arm["arm"]), (float(arm["cost"]), height), xytext=(-7, 4), textcoords="offset points", ha="right", va="bottom", fontsize=8.5
        )


def _title(arms: pd.DataFrame, nouns: Nouns) -> str:
    """Say which arm is the most accurate, and which the best of the other side is, with their sizes."""
    best = arms.loc[arms["mean"].idxmax()]
    if not arms["baseline"].any() or arms["baseline"].all():
        return f"Most accurate: {_described(best)}"
    rows, heads = arms[~arms["baseline"]], arms[arms["baseline"]]
    other, whose = (rows, nouns.row) if best["baseline"] else (heads, nouns.baseline)
    return f"Most accurate: {_described(best)}; best {whose}: {_described(other.loc[other['mean'].idxmax()], '')}"


def _described(arm: pd.Series, unit: str = " parameters") -> str:
    size = "" if pd.isna(arm["parameters"]) else f", {int(arm['parameters']):,}{unit}"
    return f"{arm['arm']} ({percent(float(arm['mean']))}{size})"
