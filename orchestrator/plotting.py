"""The look of all figures: palette, type, interval marks, and how a figure is saved."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from hadamard.orchestrator.analysis.effects import Effect
from hadamard.orchestrator.analysis.inference import Array, Interval
from hadamard.orchestrator.formats import between, signed

INK, MUTED, FAINT, RULE = "#1f2933", "#66727f", "#b9c2cb", "#e3e7eb"
UP, DOWN = "#0072b2", "#d55e00"
LINES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Okabe and Ito's palette, told apart by colour-blind readers too."""
MARKERS = ("D", "s", "^", "v", "P", "X")
DPI = 192
WIDTH = 10.0
"""Inches: 960 pixels on the page, stored at twice that."""
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
    "axes.axisbelow": True,
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
    """Write the figure as a PNG of 256 colours at twice screen resolution, the same bytes for the same figure."""
    full = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(full, dpi=DPI, pil_kwargs={"compress_level": 1})
    with Image.open(full) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


def panels(count: int, height: float, most: int, y_label: str, share_x: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` panels of this height (inches), at most `most` side by side, all on the same y axis."""
    lines = -(-count // most)
    columns = -(-count // lines)
    figure = Figure(figsize=(WIDTH, 0.5 + height * lines))
    grid = figure.subplots(lines, columns, sharey=True, sharex=share_x, squeeze=False)
    for spare in grid.flat[count:]:
        spare.set_axis_off()
    for axes in grid.flat[:count]:
        axes.yaxis.grid(True)
    for left in grid[:, 0]:
        left.set_ylabel(y_label)
    for lowest in grid.flat[max(count - columns, 0) : count]:
        lowest.tick_params(labelbottom=True)
    return figure, list(grid.flat[:count])


def panel_title(axes: Axes, title: str, note: str, colour: str) -> None:
    """Head a panel with a title and a smaller note below it."""
    axes.set_title(f"{title}\n", color=INK, fontweight="bold")
    axes.text(0, 1.02, note, transform=axes.transAxes, color=colour, va="bottom")


def titled(figure: Figure, title: str) -> Figure:
    """Give the figure its title, at the left edge."""
    figure.suptitle(title, x=0.008, ha="left", color=INK)
    return figure


def words(response: str) -> str:
    """Return a response's name as words."""
    return response.replace("_", " ")


def effect_colour(effect: Effect) -> str:
    """Return strong colours for what stands out, by sign, and greys for hints and noise."""
    if not effect.stands_out:
        return MUTED if effect.is_hint else FAINT
    return UP if effect.estimate > 0 else DOWN


def mark_interval(axes: Axes, y: float, middle: float, alone: Interval | None, together: Interval | None, colour: str) -> None:
    """Draw an estimate with its own interval (thick) and the one that holds for all together (thin), in percentage points."""
    for interval, width in ((together, 1.2), (alone, 4.0)):
        if interval is not None:
            axes.hlines(y, 100 * interval[0], 100 * interval[1], color=colour, linewidth=width, zorder=2)
    axes.plot(100 * middle, y, "o", color=colour, markersize=7, markeredgecolor="white", zorder=3)


def note_interval(axes: Axes, y: float, middle: float, alone: Interval | None) -> None:
    """Write an estimate and its own interval to the right of the axes."""
    text = signed(middle) if alone is None else f"{signed(middle)}  ({between(alone)})"
    axes.text(1.01, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)


def zero_line(axes: Axes, top: float, intervals: bool) -> None:
    """Prepare axes for marks at heights 0 to `top` around a line at zero, and head the column of `note_interval`."""
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.set_ylim(-0.7, top + 0.7)
    axes.spines["left"].set_visible(False)
    axes.xaxis.grid(True)
    heading = "points (95 % alone)" if intervals else "points"
    axes.text(1.01, 1, heading, transform=axes.transAxes, color=MUTED, fontsize=8.5, va="bottom")


def spread_labels(heights: Array, gap: float) -> list[float]:
    """Return label heights near the wanted ones, at least `gap` apart, in the same order."""
    placed = np.array(heights, dtype=float)
    below = -np.inf
    for at in np.argsort(placed, kind="stable"):
        placed[at] = max(placed[at], below + gap)
        below = placed[at]
    return [float(height) for height in placed]
