"""The report's first lines: what the study found, in sentences.

Owns which findings are worth a sentence and how they are put. Does not own the numbers, nor the rest of the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from orchestrator.analysis.comparisons import MEAN_ROW, PICKED, Comparison, Screen
from orchestrator.analysis.effects import Effect, Effects
from orchestrator.analysis.inference import SURE_LACK_OF_FIT
from orchestrator.report.formats import between, count, listed, p_text, points, signed

LENTH = "the margins are Lenth's, which take the smallest effects for noise."


@dataclass(frozen=True)
class Finding:
    """One sentence or two, and what kind of news it is."""

    tone: Literal["up", "down", "none", "note"]
    text: str


def headline(
    results: pd.DataFrame, effects: Effects, pairs: Effects, comparisons: Sequence[Comparison], screen: Screen | None
) -> list[Finding]:
    """Return the findings, most important first: effects, interactions, what is noise, baselines, luck, how much of the study is in.

    Args:
        results: one line per trial.
        effects: main effects.
        pairs: interactions.
        comparisons: rows against baselines.
        screen: the best row beside the mean row.
    """
    return [
        *_effects(effects, pairs),
        *_comparisons(comparisons, results),
        *_luck(screen),
        Finding("note", progress(results)),
    ]


def progress(results: pd.DataFrame) -> str:
    """Return how many trials are done, failed and owed."""
    if results.empty:
        return "The study has no trials."
    counts = {status: int((results["status"] == status).sum()) for status in ("done", "failed")}
    owed = len(results) - counts["done"] - counts["failed"]
    if counts["done"] == len(results):
        return f"All {count(len(results), 'trial')} are done." if len(results) > 1 else "The only trial is done."
    parts = [f"{counts['done']} done", f"{counts['failed']} failed", f"{owed} still owed"]
    text = f"Of {count(len(results), 'trial')}: {', '.join(parts)}."
    if owed:
        return f"{text} These are interim results."
    return f"{text} Failed trials are listed below; the estimates allow for the gaps, but not for failures that depend on accuracy."


def _effects(effects: Effects, pairs: Effects) -> Iterator[Finding]:
    if not effects.effects:
        yield Finding("note", effects.reason or "No effect can be estimated.")
        return
    if effects.error.method == "none":
        yield Finding("note", "Too few trials have finished to measure noise: the effects below are estimates without intervals.")
        return
    ordered = sorted(effects.effects, key=lambda effect: -abs(effect.estimate))
    for effect in ordered:
        if effect.stands_out:
            yield Finding("up" if effect.estimate > 0 else "down", _clear(effect))
    for effect in sorted(pairs.effects, key=lambda effect: -abs(effect.estimate)):
        if effect.stands_out and effect.simultaneous is not None:
            interval = between(effect.simultaneous)
            yield Finding(
                "none", f"{effect.label} interact ({signed(effect.estimate)} points, {interval}): how much one does depends on the other."
            )
    hints = [effect for effect in ordered if effect.is_hint]
    if hints:
        shown = [f"{effect.label} ({signed(effect.estimate)}, {between(effect.interval)})" for effect in hints if effect.interval]
        yield Finding("note", f"A hint, no more: {listed(shown)} would stand out alone, but not among {count(len(ordered), 'effect')}.")
    quiet = [effect.label for effect in ordered if not effect.stands_out and not effect.is_hint]
    if quiet and effects.detectable is not None:
        place = f"At {count(effects.splits, 'split')} and {count(effects.rows, 'row')}"
        yield Finding(
            "none",
            f"Not told from noise: {listed(quiet)}. {place} an effect has to be about {points(effects.detectable)} large to be seen.",
        )
    if effects.reason:
        yield Finding("note", effects.reason)
    yield from _fit(effects)
    mains = effects.aliases.main_effects if effects.aliases else {}
    mixed = [main for main, parts in mains.items() if parts]
    if mixed:
        share = "Every main effect" if len(mixed) == len(mains) else f"The main effects of {listed(mixed)}"
        blind = " No rows are left over to check for them." if effects.error.lack_of_fit_p is None else ""
        yield Finding("note", f"{share} may contain two-factor interactions, which the design mixes in as listed below.{blind}")


def _clear(effect: Effect) -> str:
    assert effect.simultaneous is not None
    moved = "raises" if effect.estimate > 0 else "lowers"
    return (
        f"{effect.label}, {effect.change}, {moved} test accuracy by {points(effect.estimate)} "
        f"(95 % interval for all effects together: {between(effect.simultaneous)})."
    )


def _fit(effects: Effects) -> Iterator[Finding]:
    error = effects.error
    if error.method == "lenth" and error.lack_of_fit_p is None:
        yield Finding("note", f"Too few trials to measure noise directly: {LENTH}")
    if error.lack_of_fit_p is None or error.lack_of_fit_p > SURE_LACK_OF_FIT:
        return
    if error.method == "rows":
        tail = "This design mixes interactions into main effects, so the intervals are widened to allow for it."
    elif error.method == "trials":
        tail = "This design keeps main effects clear of two-factor interactions, so these stand, as averages over the other factors."
    else:
        tail = f"Too few rows are left over to measure by how much: {LENTH}"
    yield Finding(
        "note",
        f"Rows lie further from the main effects than noise explains (p {p_text(error.lack_of_fit_p)}): factors interact or bend. {tail}",
    )


def _comparisons(comparisons: Sequence[Comparison], results: pd.DataFrame) -> Iterator[Finding]:
    for baseline in dict.fromkeys(comparison.baseline for comparison in comparisons):
        mine = [comparison for comparison in comparisons if comparison.baseline == baseline]
        best = next((c for c in mine if c.arm not in (MEAN_ROW, PICKED)), mine[0])
        tone: Literal["up", "down", "none"] = "none" if not best.stands_out else "up" if best.mean > 0 else "down"
        base = "" if best.interval else " There are too few common splits for intervals."
        yield Finding(tone, f"Against {baseline}: " + "; ".join(f"{_arm(c.arm)} {_verdict(c)}" for c in mine) + f".{base}")
    if not comparisons and bool(results["row"].isna().any()):
        yield Finding("note", "No baseline shares a finished split with the design yet.")
    elif not comparisons:
        yield Finding("note", "The study has no baselines: nothing here says whether a classical head would do better.")


def _arm(arm: str) -> str:
    if arm == MEAN_ROW:
        return "the mean row is"
    return "picking a row by validation on each split is" if arm == PICKED else f"{arm}, the best row by validation, is"


def _verdict(comparison: Comparison) -> str:
    difference = f"{points(comparison.mean)} {'better' if comparison.mean > 0 else 'worse'}"
    if comparison.simultaneous is None:
        return difference
    interval = between(comparison.simultaneous)
    if comparison.stands_out:
        return f"{difference} ({interval})"
    if comparison.is_hint and comparison.interval:
        return f"{difference} ({interval} among all comparisons, {between(comparison.interval)} alone)"
    return f"not told apart from it ({signed(comparison.mean)}, {interval})"


def _luck(screen: Screen | None) -> Iterator[Finding]:
    if screen is None or screen.rows < 2:
        return
    text = f"The row with the highest test accuracy, {screen.best}, lies {points(screen.gain)} above the mean row"
    if screen.expected_gain is None:
        yield Finding("none", f"{text}; with one split there is no telling how much of that is luck.")
    else:
        yield Finding(
            "none", f"{text}; the best of {screen.rows} equal rows would lie {points(screen.expected_gain)} above it by luck alone."
        )
