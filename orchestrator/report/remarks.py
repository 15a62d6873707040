"""What a reader has to know beside the answers: what could bend them, what is missing, and how far they reach.

Owns which remarks are worth a sentence and how they are put. Does not own the numbers, nor the answers (headline).
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from hadamard.orchestrator.analysis.comparisons import by_split
from hadamard.orchestrator.analysis.curvature import Curvature
from hadamard.orchestrator.analysis.effects import Effects
from hadamard.orchestrator.analysis.inference import SURE_LACK_OF_FIT
from hadamard.orchestrator.formats import count, listed, p_text, plus_minus, points, signed_plus_minus

LENTH = "the margins are Lenth's, which take the smallest effects for noise."


def remarks(results: pd.DataFrame, effects: Effects, bend: Curvature | None) -> list[str]:
    """Return the remarks: what the model or the design cannot tell, how splits differ, how much of the study is in.

    Args:
        results: one line per trial.
        effects: main effects.
        bend: of the response between the ends of factors, where centre points tell.
    """
    return [*_missing(effects), *_fit(effects), *_bend(bend), *_aliases(effects), *_splits(results), progress(results)]


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


def _missing(effects: Effects) -> Iterator[str]:
    if effects.effects and effects.reason:
        yield effects.reason
    if effects.split_term.method == "random":
        yield "Gaps unbalance the design, so splits enter as a random effect, which uses what the splits' own means tell as well."


def _fit(effects: Effects) -> Iterator[str]:
    error = effects.error
    if error.method == "lenth" and error.lack_of_fit_p is None:
        yield f"Too few trials to measure noise directly: {LENTH}"
    if error.lack_of_fit_p is None or error.lack_of_fit_p > SURE_LACK_OF_FIT:
        return
    if error.method == "rows":
        tail = "This design mixes interactions into main effects, so the intervals are widened to allow for it."
    elif error.method == "trials":
        tail = "This design keeps main effects clear of two-factor interactions, so these stand, as averages over the other factors."
    else:
        tail = f"Too few rows are left over to measure by how much: {LENTH}"
    yield f"Rows lie further from the main effects than noise explains (p {p_text(error.lack_of_fit_p)}): factors interact or bend. {tail}"


def _bend(bend: Curvature | None) -> Iterator[str]:
    if bend is None:
        return
    where = "above" if bend.estimate < 0 else "below"
    size = f"{plus_minus(bend.estimate, bend.interval)} points"
    if bend.interval is None:
        yield f"Centre points lie {size} {where} what the corners predict; there is nothing to tell that from noise with."
    elif bend.verdict == "noise":
        off = signed_plus_minus(-bend.estimate, bend.interval)
        yield f"Centre points lie where the corners predict them ({off} points): no sign of a bend."
    else:
        yield f"Centre points lie {size} {where} what the corners predict: accuracy bends between levels, effects are no straight lines."


def _aliases(effects: Effects) -> Iterator[str]:
    mains = effects.aliases.main_effects if effects.aliases else {}
    mixed = [main for main, parts in mains.items() if parts]
    if effects.effects and mixed:
        share = "Every main effect" if len(mixed) == len(mains) else f"The main effects of {listed(mixed)}"
        blind = " No rows are left over to check for them." if effects.error.lack_of_fit_p is None else ""
        yield f"{share} may contain two-factor interactions, which the design mixes in as listed below.{blind}"


def _splits(results: pd.DataFrame) -> Iterator[str]:
    """Say how much splits differ in how easy they are, which paired differences are free of."""
    table = by_split(results, "test_accuracy").join(by_split(results, "test_accuracy", baselines=True), how="outer").dropna(axis=1)
    if len(table) > 1 and len(table.columns):
        easy = table.mean(axis=1)
        yield (
            f"Splits differ by up to {points(float(easy.max() - easy.min()))} in how easy they are. Every arm sees the same ones, and what "
            "they share cancels in effects and differences."
        )
