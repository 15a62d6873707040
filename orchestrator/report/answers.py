"""Answers to what a reader asks of a study, as estimates and counts; `answers.html.j2` and `remarks.html.j2` put them into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from hadamard.orchestrator.analysis.comparisons import MEAN_ROW, PICKED, Comparison, Screen, by_split
from hadamard.orchestrator.analysis.curvature import Curvature
from hadamard.orchestrator.analysis.effects import Effect, Effects
from hadamard.orchestrator.analysis.inference import SURE_LACK_OF_FIT, Uncertainty
from hadamard.orchestrator.design.design import Design
from hadamard.orchestrator.formats import NONE, signed_plus_minus
from hadamard.orchestrator.report.arms import Gain, Group, head_of, picked_by, with_intervals
from hadamard.orchestrator.study.schema import REPRESENTATION

Tone = Literal["up", "down", "none"]
MOST_EFFECTS = 6
"""An answer shows this many effects at most; the table below has all."""
NAMES = {"lr": "learning rate", "reuploads": "re-uploads", "setfit": "SetFit"}


@dataclass(frozen=True)
class Nouns:
    """What a row of the design and a baseline are called, each in the singular."""

    row: str
    baseline: str


def nouns(quantum: bool) -> Nouns:
    """Return the nouns of a study; baselines are always classical heads, so only beside quantum rows does that tell them apart."""
    return Nouns("quantum row", "classical head") if quantum else Nouns("row", "baseline")


def name_of(text: str) -> str:
    """Return a factor's or level's name as people would write it."""
    return NAMES.get(text, text)


@dataclass(frozen=True)
class Estimate:
    """A line of an answer: a change, what it does to accuracy, and whether that can be told from noise."""

    what: str
    change: str
    estimate: float
    """In accuracy (0.01 is one point)."""
    known: Uncertainty

    @property
    def points(self) -> str:
        """The estimate in points, with half of the interval that holds for all of its kind together."""
        return signed_plus_minus(self.estimate, self.known.simultaneous)

    @property
    def verdict(self) -> str:
        """What the intervals say of it."""
        return NONE if self.known.verdict == "unknown" else self.known.verdict

    @property
    def tone(self) -> Tone:
        """Where accuracy goes, if that stands out."""
        return "none" if not self.known.stands_out else "up" if self.estimate > 0 else "down"


@dataclass(frozen=True)
class AgainstHeads:
    """How the picked row compares with the baselines on one kind of embeddings, the hardest to beat first."""

    representation: str | None
    row: str
    picked_by: str
    lines: tuple[Estimate, ...]
    splits: tuple[int, int]
    """The fewest and the most splits that a comparison rests on."""
    no_row_is_better: bool
    """Whether each row, even the one that tests best, has a lower mean than each baseline."""


@dataclass(frozen=True)
class Answers:
    """All answers of a report."""

    moves: tuple[Estimate, ...]
    """Effects, except of the representation: those that stand out or hint at something, else the largest."""
    effects: int
    """How many there are."""
    interacting: tuple[Estimate, ...]
    representations: tuple[Estimate, ...]
    """By level and head, against the first level."""
    gains: int
    """How many differences of representations the intervals of baselines hold for."""
    against: tuple[AgainstHeads, ...]
    compared: int
    """How many comparisons the intervals of `against` hold for."""
    screen: Screen | None

    @property
    def clear(self) -> int:
        """How many effects stand out."""
        return sum(line.known.stands_out for line in self.moves)


def answers(
    design: Design,
    mains: Effects,
    pairs: Effects,
    groups: Sequence[Group],
    gains: Sequence[Gain],
    screen: Screen | None,
    noun: Nouns,
) -> Answers:
    """Return the answers.

    Args:
        design: The study's design.
        mains: Main effects.
        pairs: Interactions.
        groups: Comparisons of rows with baselines on the same embeddings.
        gains: Effects of representations on baselines.
        screen: The best row beside the mean row.
        noun: What rows and baselines are called.
    """
    at = next((at for at, factor in enumerate(design.factors) if factor.path == REPRESENTATION), None)
    others = _largest_first([effect for effect in mains.effects if effect.factors != (at,)])
    telling = [effect for effect in others if effect.stands_out or effect.is_hint]
    return Answers(
        moves=tuple(_effect(effect) for effect in (telling or others[:1])[:MOST_EFFECTS]),
        effects=len(others),
        interacting=tuple(_effect(effect) for effect in _largest_first(pairs.effects) if effect.stands_out)[:MOST_EFFECTS],
        representations=() if at is None else _representations(design, at, mains, gains, noun),
        gains=len(gains),
        against=tuple(_against(group, picked) for group in groups if (picked := _picked(group))),
        compared=with_intervals(comparison for group in groups for comparison in group.comparisons),
        screen=screen if screen is not None and screen.rows > 1 else None,
    )


def _largest_first(effects: Sequence[Effect]) -> list[Effect]:
    return sorted(effects, key=lambda effect: -abs(effect.estimate))


def _effect(effect: Effect) -> Estimate:
    return Estimate(name_of(effect.label), effect.change, effect.estimate, effect)


def _representations(design: Design, at: int, mains: Effects, gains: Sequence[Gain], noun: Nouns) -> tuple[Estimate, ...]:
    first, *others = map(str, design.factors[at].levels)
    of_rows = {effect.label.partition(" = ")[2] or others[0]: effect for effect in mains.effects if effect.factors == (at,)}
    lines = []
    for level in others:
        change = f"{name_of(level)} instead of {name_of(first)}"
        if level in of_rows:
            lines.append(Estimate(f"{noun.row}s", change, of_rows[level].estimate, of_rows[level]))
        lines += [Estimate(gain.head, change, gain.mean, gain) for gain in gains if gain.representation == level]
    return tuple(lines)


def _picked(group: Group) -> list[Comparison]:
    """Return the comparisons of the row picked over all splits, that with the baseline that is hardest to beat first."""
    return sorted((pair for pair in group.comparisons if pair.arm not in (MEAN_ROW, PICKED)), key=lambda pair: pair.mean)


def _against(group: Group, picked: Sequence[Comparison]) -> AgainstHeads:
    rows, heads = by_split(group.results, "test_accuracy"), by_split(group.results, "test_accuracy", baselines=True)
    best = max(float(rows.sub(heads[pair.baseline], axis=0).mean().max()) for pair in picked)
    splits = [len(pair.by_split) for pair in picked]
    return AgainstHeads(
        representation=group.representation,
        row=picked[0].arm,
        picked_by=picked_by(group.results),
        lines=tuple(
            Estimate(pair.baseline if group.representation is None else head_of(pair.baseline), "", pair.mean, pair) for pair in picked
        ),
        splits=(min(splits), max(splits)),
        no_row_is_better=best < 0,
    )


@dataclass(frozen=True)
class Limits:
    """What a reader has to know beside the answers: what could bend them, what is missing, and how far they reach."""

    done: int
    failed: int
    owed: int
    lack_of_fit_p: float | None
    """None unless rows surely lie off the main effects by more than noise."""
    bend: Curvature | None
    """Of the response between the ends of factors, where centre points tell."""
    mixed: tuple[str, ...]
    """Main effects that may contain two-factor interactions."""
    easiness: float | None
    """By how much the easiest split's accuracy exceeds the hardest one's, the mean of all arms; None with one split."""


def limits(results: pd.DataFrame, effects: Effects, bend: Curvature | None) -> Limits:
    """Return the limits of the answers.

    Args:
        results: One line per trial.
        effects: Main effects.
        bend: Of the response, where centre points tell.
    """
    counts = [int((results["status"] == status).sum()) for status in ("done", "failed")]
    p, mains = effects.error.lack_of_fit_p, effects.aliases.main_effects if effects.aliases else {}
    table = by_split(results, "test_accuracy").join(by_split(results, "test_accuracy", baselines=True), how="outer").dropna(axis=1)
    by_ease = table.mean(axis=1)
    return Limits(
        done=counts[0],
        failed=counts[1],
        owed=len(results) - sum(counts),
        lack_of_fit_p=p if p is not None and p <= SURE_LACK_OF_FIT else None,
        bend=bend,
        mixed=tuple(name for name, parts in mains.items() if parts) if effects.effects else (),
        easiness=float(by_ease.max() - by_ease.min()) if len(table) > 1 and len(table.columns) else None,
    )
