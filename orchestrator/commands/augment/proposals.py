"""Which follow-up designs are proposed for a study, why, and the settings that ask for each.

Their sizes and costs are in view.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hadamard.orchestrator.analysis.inference import SURE_LACK_OF_FIT, ErrorTerm
from hadamard.orchestrator.commands.augment.bends import bends
from hadamard.orchestrator.commands.augment.known import Known, Proposal, known_of
from hadamard.orchestrator.commands.augment.rows import lost_terms, rows_for
from hadamard.orchestrator.design.aliases import aliases
from hadamard.orchestrator.design.base import DesignError, TwoLevelDesign
from hadamard.orchestrator.design.design import build
from hadamard.orchestrator.design.power import smallest_effect, splits_needed
from hadamard.orchestrator.design.registry import explicit_design
from hadamard.orchestrator.formats import count, listed, p_text, points, signed
from hadamard.orchestrator.ledger.ledger import TrialRecord
from hadamard.orchestrator.study.expansion import Plan

DEFAULT_POWER = 0.8
MOST_SPLITS = 500
"""More are not proposed: a wanted effect that needs them is out of reach."""


@dataclass(frozen=True)
class FollowUps:
    """What could be done next, and the numbers it was proposed from. Effects and deviations are in accuracy (0.01 is one point)."""

    noise: ErrorTerm
    """Of one trial within its row and split, as the study measured it; its `sd` is None where there is nothing to measure it with."""
    detectable: float | None
    """Largest of the smallest main effects that the study finds with the wanted power when all that is owed is done."""
    wanted: float | None
    """The effect that should be found."""
    power: float
    proposals: tuple[Proposal, ...]
    notes: tuple[str, ...]
    """What is not proposed, and why not."""


def follow_ups(plan: Plan, records: Sequence[TrialRecord], wanted: float | None = None, power: float | None = None) -> FollowUps:
    """Propose what the study should do next.

    Args:
        plan: The study.
        records: Of all its trials.
        wanted: The smallest main effect on test accuracy that should be found, in accuracy; default: what the study file wants under
            `power`, else half of what is found now.
        power: Probability with which it should be found, by a two-sided t test at the 5 % level; default: the study file's, else 0.8.

    Raises:
        AugmentError: No trial of the design has finished.
    """
    known = known_of(plan, records)
    stated = plan.study.power
    power = power or (stated.power if stated else DEFAULT_POWER)
    detectable = _detectable(known, power)
    if wanted is None:
        wanted = stated.effect if stated else None if detectable is None else detectable / 2
    answers = (_finish(known), _rows(known), _fold_over(known), _splits(known, detectable, wanted, power), bends(known))
    return FollowUps(
        noise=known.noise,
        detectable=detectable,
        wanted=wanted,
        power=power,
        proposals=tuple(answer for answer in answers if isinstance(answer, Proposal)),
        notes=tuple(answer for answer in answers if isinstance(answer, str)),
    )


def _finish(known: Known) -> Proposal | None:
    owed = [record for record in known.records if record.owed]
    if not owed:
        return None
    failed = sum(record.status == "failed" for record in owed)
    again = f", {failed} of them failed and will be tried again" if failed else ""
    return Proposal("finish", f"{len(owed)} of {len(known.records)} trials are not done yet{again}; what is said here rests on the others.")


def _rows(known: Known) -> Proposal | str | None:
    """Propose rows that estimate again what rows that are lost for good would have."""
    gone = [row.name for row in known.design.rows if row not in known.reachable.rows]
    if not gone:
        return None
    lost = f"{listed(gone)} failed on every split, and would again"
    missing = lost_terms(known.named, known.design.coded, known.reachable.coded)
    if not missing:
        return f"rows: {lost}, but what the design could estimate it still can."
    added = rows_for(known.design, known.reachable)
    if not added:
        return f"rows: {lost}, and no other rows give back {listed(missing)}. Change the factors' levels, or take out what fails."
    rows = [row.settings for row in known.design.rows] + added
    design = explicit_design(rows, known.study.design.splits)
    why = f"{lost}, so {listed(missing)} cannot be estimated any more; {count(len(added), 'row')} elsewhere give it back."
    return Proposal("rows", why, (f"design={json.dumps(design)}",))


def _fold_over(known: Known) -> Proposal | str | None:
    """Propose the mirror image where it frees main effects from two-factor interactions."""
    settings = known.study.design
    if not isinstance(settings, TwoLevelDesign) or settings.fold_over:
        return None
    now = aliases(known.named, known.reachable.coded).main_effects
    mixed = [name for name, parts in now.items() if parts]
    if not mixed:
        return "fold-over: main effects are clear of two-factor interactions."
    try:
        folded = build(settings.model_copy(update={"fold_over": True}), known.design.factors, known.study.seed)
    except DesignError:  # the mirror image is the design itself
        return "fold-over: the mirror image of these rows is these rows."
    added = [row.coded for row in folded.rows[len(known.design.rows) :]]
    then = aliases(known.named, np.vstack([known.reachable.coded, added])).main_effects
    freed = [name for name in mixed if not then.get(name, {"unknown": 1.0})]
    if not freed:
        return f"fold-over: it would not free {listed(mixed)} from two-factor interactions."
    example = next(iter(now[freed[0]]))
    big = [
        f"{effect.label} ({signed(effect.estimate)} points)"
        for effect in known.effects.effects
        if effect.label in freed and effect.stands_out
    ]
    parts = [
        f"The main effect{'s' * (len(freed) > 1)} of {listed(freed)} may contain two-factor interactions, such as {example} in {freed[0]}; "
        f"the fold-over frees {'them' if len(freed) > 1 else 'it'}.",
        f"It would show whether {listed(big)} {'are' if len(big) > 1 else 'is'} what {'they seem' if len(big) > 1 else 'it seems'}."
        if big
        else "",
        _off_the_model(known),
    ]
    return Proposal("fold-over", " ".join(filter(None, parts)), ("design.fold_over=true",))


def _off_the_model(known: Known) -> str:
    p = known.effects.error.lack_of_fit_p
    if p is None or p > SURE_LACK_OF_FIT:
        return ""
    return f"Rows do lie off the main effects by more than noise (p {p_text(p)}), so interactions or curvature are at work."


def _splits(known: Known, detectable: float | None, wanted: float | None, power: float) -> Proposal | str | None:
    """Propose as many splits as the wanted effect needs."""
    now = known.study.design.splits
    if known.noise.sd is None:
        if now > 1:
            return "splits: too few trials have finished to measure how much they vary."
        why = "One split leaves nothing to measure noise with, so no effect has an interval; five do."
        return Proposal("splits", why, ("design.splits=5",))
    if detectable is None or wanted is None:
        return "splits: the rows that can be had do not tell all main effects apart, and splits do not help that."
    if detectable <= wanted:
        return f"splits: {now} find an effect of {points(wanted)} with a power of {power:g}."
    needed = splits_needed(known.reachable, known.noise.sd, wanted, power)
    if needed is None or needed > MOST_SPLITS:
        reach = f"{needed} of them" if needed else "more than can be drawn"
        return f"splits: an effect of {points(wanted)} would need {reach}; want a larger one by --effect."
    why = (
        f"An effect of {points(wanted)} would need {needed} splits, to be found with a power of {power:g}; there are {now}, which find "
        f"{points(detectable)}."
    )
    if known.effects.error.method == "rows":
        why += " They sharpen the rows, but do not lessen what interactions or curvature add to main effects."
    return Proposal("splits", why, (f"design.splits={needed}",))


def _detectable(known: Known, power: float) -> float | None:
    """Return the largest of the smallest effects found when all that is owed is done; None where some main effect has none."""
    if known.noise.sd is None:
        return None
    effects = [term.effect for term in smallest_effect(known.reachable, known.study.design.splits, known.noise.sd, power=power)]
    sizes = [effect for effect in effects if effect is not None]
    return max(sizes) if len(sizes) == len(effects) else None
