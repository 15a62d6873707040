"""The report's first sentences: answers to what a reader asks of the study, each a short form with its ± and what that holds for.

Owns how the answers are put. Does not own numbers, nor what has to be known beside them (remarks).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hadamard.orchestrator.analysis.comparisons import Screen
from hadamard.orchestrator.analysis.effects import Effect, Effects
from hadamard.orchestrator.analysis.inference import Interval
from hadamard.orchestrator.design.design import Design
from hadamard.orchestrator.formats import count, listed, percent, plus_minus, points, signed_plus_minus
from hadamard.orchestrator.report.answers import MOST_NAMED, Answer, Nouns, Tone, capital, name_of
from hadamard.orchestrator.report.arms import Gain, Group, with_intervals
from hadamard.orchestrator.report.differences import against, representations
from hadamard.orchestrator.study.schema import REPRESENTATION


def headline(
    design: Design,
    effects: Effects,
    pairs: Effects,
    groups: Sequence[Group],
    gains: Sequence[Gain],
    screen: Screen | None,
    published: bool,
    nouns: Nouns,
) -> list[Answer]:
    """Return the answers: representations, the other factors, rows against classical heads, the best of the screen.

    Args:
        design: the study's design.
        effects: main effects.
        pairs: interactions.
        groups: comparisons of rows with classical heads on the same embeddings.
        gains: what representations do for classical heads.
        screen: the best row beside the mean row.
        published: whether published numbers of this task belong beside ours.
        nouns: what rows and baselines are called.
    """
    representation = [at for at, factor in enumerate(design.factors) if factor.path == REPRESENTATION]
    embeddings = [effect for effect in effects.effects if list(effect.factors) == representation]
    others = [effect for effect in effects.effects if effect not in embeddings]
    answers: list[Answer] = []
    if embeddings or gains:
        answers += representations(design, embeddings, effects, gains, published, nouns)
    if others or not embeddings:
        answers.append(_effects(others, effects, pairs))
    among = with_intervals(one for group in groups for one in group.comparisons)
    for group in groups:
        answers += against(group, among, nouns)
    return answers + list(_best(screen))


def _effects(effects: Sequence[Effect], table: Effects, pairs: Effects) -> Answer:
    question = "What moves accuracy?"
    if not effects:
        return Answer(question, table.reason or "No effect can be estimated.")
    ordered = sorted(effects, key=lambda effect: -abs(effect.estimate))
    splits = count(table.splits, "split")
    if not any(effect.interval for effect in ordered):
        seen = _moves(_moved(ordered[:1]))
        return Answer(question, f"Too few trials have finished to tell effects from noise at {splits}. As far as they go, {seen}.")
    clear = [effect for effect in ordered if effect.stands_out]
    hints = [effect for effect in ordered if effect.is_hint]
    sentences = [_found(ordered, clear, hints, splits), _hinted(hints), _interacting(pairs)]
    tone: Tone = "none" if not clear else "up" if clear[0].estimate > 0 else "down"
    return Answer(question, " ".join(sentence for sentence in sentences if sentence), _reach(table, hints), tone)


def _found(ordered: Sequence[Effect], clear: Sequence[Effect], hints: Sequence[Effect], splits: str) -> str:
    """Say what moves accuracy, and of what is left that it cannot be told from noise."""
    noise = f"distinguishable from noise at {splits}."
    if not clear:
        return f"{capital(_who(ordered[0]))} is not {noise}" if len(ordered) == 1 else f"No effect is {noise}"
    text = capital(_moves(_moved(clear[:MOST_NAMED])))
    more = len(clear) - MOST_NAMED
    if more > 0:
        text += f"; {count(more, 'smaller effect')} {'stands' if more == 1 else 'stand'} out, too"
    if len(ordered) == len(clear):
        return f"{text}."
    return f"{text}. Nothing else is {noise}" if ";" in text else f"{text}; nothing else is {noise}"


def _hinted(hints: Sequence[Effect]) -> str:
    if not hints:
        return ""
    shown = [f"{_who(effect)}, {signed_plus_minus(effect.estimate, effect.interval)} points" for effect in hints[:MOST_NAMED]]
    return f"A hint, no more, which would stand out if looked at alone: {'; '.join(shown)}."


def _reach(table: Effects, hints: Sequence[Effect]) -> str:
    """Say what the ± holds for, how small an effect could have been seen, and what more splits would do."""
    together = f" that holds for all {len(table.effects)} effects together" if len(table.effects) > 1 else ""
    place = f"{count(table.rows, 'row')} on {count(table.splits, 'split')}"
    parts = [f"± is half of a 95 % interval{together}, from {place}."]
    if table.detectable is not None:
        parts.append(f"An effect has to measure about {points(table.detectable)} to be seen{_more_splits(table, hints)}.")
    if table.aliases and any(table.aliases.main_effects.values()):
        parts.append("Effects may contain interactions of two factors, which this design cannot tell apart (below).")
    return " ".join(parts)


def _more_splits(table: Effects, hints: Sequence[Effect]) -> str:
    """Say how many splits a smaller effect needs; intervals shrink with the root of their number if the yardstick is the trials' noise."""
    if table.error.method not in ("residual", "trials"):
        return "; more rows would sharpen this, more splits hardly"
    if table.splits < 2:
        return ""
    if hints and hints[0].simultaneous:
        half = (hints[0].simultaneous[1] - hints[0].simultaneous[0]) / 2
        needed = math.ceil(table.splits * (half / hints[0].estimate) ** 2)
        if needed > table.splits:
            return f"; if {_who(hints[0])} is as strong as it looks, about {needed} splits give it an even chance"
    return f"; half of that needs four times as many splits, {4 * table.splits}"


def _interacting(pairs: Effects) -> str:
    clear = sorted((effect for effect in pairs.effects if effect.stands_out), key=lambda effect: -abs(effect.estimate))
    if not clear:
        return ""
    shown = [f"{effect.label} ({signed_plus_minus(effect.estimate, effect.simultaneous)} points)" for effect in clear[:2]]
    more = f" and {len(clear) - 2} more" if len(clear) > 2 else ""
    return f"What one factor does depends on another: {' and '.join(shown) if not more else ', '.join(shown)}{more}."


@dataclass(frozen=True)
class _Moved:
    """Something that moves accuracy, by how much."""

    who: str
    plural: bool
    estimate: float
    interval: Interval | None


def _moved(effects: Sequence[Effect]) -> list[_Moved]:
    """Return effects with their subjects; the level that others are set against is said once per factor."""
    found: list[_Moved] = []
    for at, effect in enumerate(effects):
        again = "=" in effect.label and any(other.factors == effect.factors for other in effects[:at])
        plural = effect.label.endswith("s") and "=" not in effect.label
        found.append(_Moved(effect.label if again else _who(effect), plural, effect.estimate, effect.simultaneous))
    return found


def _who(effect: Effect) -> str:
    if "=" in effect.label:
        return f"{effect.label} instead of {effect.change.removeprefix('from ')}"
    return f"{name_of(effect.label)} ({effect.change})"


def _moves(moved: Sequence[_Moved]) -> str:
    """Return `a raises accuracy by 0.8 ± 0.3 points and b by 0.4 ± 0.3; c lowers it by 0.5 ± 0.3`, the largest one's direction first."""
    up, down = ([one for one in moved if (one.estimate > 0) == side] for side in (True, False))
    clauses: list[str] = []
    for part in (up, down) if moved[0].estimate > 0 else (down, up):
        if part:
            verb = ("raise" if part[0].estimate > 0 else "lower") + ("" if part[0].plural else "s")
            what, unit = ("it", "") if clauses else ("accuracy", " points")
            first, *others = part
            by = [f"{first.who} {verb} {what} by {plus_minus(first.estimate, first.interval)}{unit}"]
            clauses.append(listed(by + [f"{one.who} by {plus_minus(one.estimate, one.interval)}" for one in others]))
    return "; ".join(clauses)


def _best(screen: Screen | None) -> Iterator[Answer]:
    if screen is None or screen.rows < 2:
        return
    text = (
        f"The row that tests best, {screen.best}, reaches {percent(screen.maximum)}, {points(screen.gain)} above the mean row "
        f"({percent(screen.mean)})"
    )
    luck = "; with one split there is no telling how much of that is luck."
    if screen.expected_gain is not None:
        luck = f"; the best of {screen.rows} equal rows would lie {points(screen.expected_gain)} above it by luck alone."
    yield Answer(
        "How good is the best row?", text + luck, "It is picked by its test accuracy, which flatters it: no row is chosen by this."
    )
