"""The figure of paired differences between rows and classical heads, with published gaps marked in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hadamard.orchestrator.analysis.comparisons import MEAN_ROW, PICKED, Comparison
from hadamard.orchestrator.plotting import DOWN, FAINT, INK, MUTED, STYLE, UP, WIDTH, mark_interval, note_interval, titled, zero_line
from hadamard.orchestrator.report.answers import Nouns, name_of
from hadamard.orchestrator.report.arms import Group, head_of, picked_by
from hadamard.orchestrator.report.published import Gap

MOST_IN_FULL = 4
"""Baselines of which every comparison is drawn; of more, only that of the row picked over all splits."""

MOST_JOINT = 1.5
"""How many times as wide as everything else joint intervals may make the figure."""
HEADING = 1.5
"""Height of the line that names embeddings, and of the room above it, in lines."""


@mpl.rc_context(STYLE)
def paired(groups: Sequence[Group], nouns: Nouns, published: Sequence[Gap] = ()) -> Figure:
    """Draw rows minus baselines, split by split and with intervals, under the embeddings that they share.

    Args:
        groups: the arms by embeddings.
        nouns: what rows and baselines are called.
        published: gaps that others measured, drawn as lines.
    """
    full = in_full(groups)
    compared = [group for group in groups if group.comparisons]
    lines = [(group.representation, shown(group.comparisons, full)) for group in compared]
    comparisons = [pair for _, pairs in lines for pair in pairs]
    height = sum(len(pairs) + HEADING * (name is not None) for name, pairs in lines) + _gaps(lines)
    figure = Figure(figsize=(WIDTH, 1.2 + 0.34 * (height + 0.9 * len(published))))
    axes = figure.subplots()
    y, ticks, labels = height, [], []
    for group, (name, pairs) in zip(compared, lines, strict=True):
        if name is not None:
            axes.text(
                -0.012,
                y,
                f"on {name_of(name)} embeddings",
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="center",
                fontweight="bold",
            )
            y -= 0.9
        for at, pair in enumerate(pairs):
            y -= 0.7 * (at > 0 and starts_a_block(pairs, at))
            _draw(axes, y, pair)
            ticks.append(y)
            labels.append(f"{_arm(pair, pairs, picked_by(group.results))}  −  {pair.baseline if name is None else head_of(pair.baseline)}")
            y -= 1
        y -= HEADING - 0.9
    axes.set_yticks(ticks, labels, color=INK)
    intervals = any(pair.interval for pair in comparisons)
    _limit(axes, comparisons, dict(zip(ticks, comparisons, strict=True)))
    zero_line(axes, height, intervals)
    axes.set_ylim(min(ticks) - 0.8, height + 0.7 + 0.9 * len(published))
    _mark(axes, published, height)
    axes.set_xlabel(
        f"difference of test accuracy, percentage points: left of zero the {nouns.baseline} is better, right of it the {nouns.row}"
    )
    return titled(figure, _title(comparisons, intervals))


def in_full(groups: Sequence[Group]) -> bool:
    """Return whether there is room for every comparison, or only for that of the row picked over all splits."""
    return len({pair.baseline for group in groups for pair in group.comparisons}) <= MOST_IN_FULL


def shown(comparisons: Sequence[Comparison], full: bool) -> list[Comparison]:
    """Return the comparisons to draw, those of the baseline that is hardest to beat first."""
    by_baseline: dict[str, list[Comparison]] = {}
    for pair in comparisons:
        by_baseline.setdefault(pair.baseline, []).append(pair)
    ordered = sorted(by_baseline.values(), key=lambda pairs: pairs[-1].mean)
    if full:
        return [pair for pairs in ordered for pair in pairs]
    return [pairs[-1] for pairs in ordered]


def starts_a_block(pairs: Sequence[Comparison], at: int) -> bool:
    """Return whether another baseline begins here, and blocks have more than a line each."""
    full = any(pair.arm in (MEAN_ROW, PICKED) for pair in pairs)
    return full and pairs[at].baseline != pairs[at - 1].baseline


def _arm(pair: Comparison, pairs: Sequence[Comparison], by: str) -> str:
    """Return the arm, and for a row how it was picked where other arms stand beside it."""
    return pair.arm if pair.arm in (MEAN_ROW, PICKED) or all(other.arm == pair.arm for other in pairs) else f"{pair.arm}, best by {by}"


def _gaps(lines: Sequence[tuple[str | None, list[Comparison]]]) -> float:
    return 0.7 * sum(starts_a_block(pairs, at) for _, pairs in lines for at in range(1, len(pairs)))


def _draw(axes: Axes, y: float, pair: Comparison) -> None:
    colour = (UP if pair.mean > 0 else DOWN) if pair.stands_out else MUTED
    values = [100 * value for value in pair.by_split.values()]
    axes.plot(values, [y - 0.3] * len(values), "o", color=FAINT, markersize=3, zorder=1)
    mark_interval(axes, y, pair.mean, pair.interval, pair.simultaneous, colour)
    note_interval(axes, y, pair.mean, pair.interval)


def _limit(axes: Axes, comparisons: Sequence[Comparison], places: Mapping[float, Comparison]) -> None:
    """Show every split and interval of its own whole; joint intervals that would dwarf them end in arrows at the edge."""
    seen = [0.0, *(100 * value for pair in comparisons for value in (*pair.by_split.values(), *(pair.interval or ())))]
    joint = [*seen, *(100 * end for pair in comparisons for end in pair.simultaneous or ())]
    if max(joint) - min(joint) < MOST_JOINT * (max(seen) - min(seen)):
        seen = joint
    margin = 0.08 * (max(seen) - min(seen))
    low, high = min(seen) - margin, max(seen) + margin
    axes.set_xlim(low, high)
    for y, pair in places.items():
        below, above = pair.simultaneous or (0.0, 0.0)
        if 100 * below < low:
            axes.plot(low + margin / 12, y, "<", color=MUTED, markersize=6)
        if 100 * above > high:
            axes.plot(high - margin / 12, y, ">", color=MUTED, markersize=6)


def _mark(axes: Axes, published: Sequence[Gap], top: float) -> None:
    """Draw published gaps as lines, each labelled at a height of its own above the comparisons."""
    low, high = axes.get_xlim()
    sizes = [100 * gap.size for gap in published]
    low, high = min([low, *sizes]), max([high, *(size + 0.02 * (high - low) for size in sizes)])
    axes.set_xlim(low, high)
    for at, gap in enumerate(sorted(published, key=lambda gap: gap.size)):
        size, y = 100 * gap.size, top + 1.0 + 0.9 * at
        axes.vlines(size, axes.get_ylim()[0], y, color=INK, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
        left = size > (low + high) / 2
        axes.annotate(
            gap.what,
            (size, y),
            xytext=(-5 if left else 5, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )


def _title(comparisons: Sequence[Comparison], intervals: bool) -> str:
    if not intervals:
        return "Against classical heads, without intervals: too few common splits"
    worse = sum(pair.stands_out and pair.mean < 0 for pair in comparisons)
    better = sum(pair.stands_out and pair.mean > 0 for pair in comparisons)
    return f"Against classical heads: clearly better in {better}, clearly worse in {worse} of {len(comparisons)} comparisons"
