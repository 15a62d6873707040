"""Answers about differences of heads: rows against baselines, and one representation against another.

Owns how such differences are put into words. Does not own the numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hadamard.orchestrator.analysis.comparisons import MEAN_ROW, PICKED, Comparison, by_split
from hadamard.orchestrator.analysis.effects import Effect, Effects
from hadamard.orchestrator.analysis.inference import Uncertainty
from hadamard.orchestrator.design.design import Design
from hadamard.orchestrator.formats import count, listed, plus_minus, signed, signed_plus_minus
from hadamard.orchestrator.report.answers import MOST_NAMED, Answer, Nouns, Tone, capital, name_of
from hadamard.orchestrator.report.arms import Gain, Group, head_of, picked_by
from hadamard.orchestrator.report.published import ENCODER, SETFIT_GAP
from hadamard.orchestrator.study.schema import REPRESENTATION


@dataclass(frozen=True)
class _Told:
    """Something that is compared, the difference, and how well that is known."""

    who: str
    difference: float
    known: Uncertainty


def representations(
    design: Design, effects: Sequence[Effect], table: Effects, gains: Sequence[Gain], published: bool, nouns: Nouns
) -> Iterator[Answer]:
    """Yield for each representation but the first what it does for rows and for baselines.

    Args:
        design: the study's design, of which representations are a factor.
        effects: the effects of that factor.
        table: the main effects that these are among.
        gains: what representations do for classical heads.
        published: whether published numbers of this task belong beside ours.
        nouns: what rows and baselines are called.
    """
    factor = next(factor for factor in design.factors if factor.path == REPRESENTATION)
    first, *others = map(str, factor.levels)
    by_level = {effect.label.partition(" = ")[2] or others[0]: effect for effect in effects}
    for level in others:
        told = [_Told(f"{nouns.row}s", by_level[level].estimate, by_level[level])] if level in by_level else []
        heads = [_Told(name_of(gain.head), gain.mean, gain) for gain in gains if gain.representation == level]
        clauses = [f"{verb} {_each(part)}" for verb, part in _sides([*told, *heads])]
        if not clauses:
            continue
        text = f"{capital(name_of(level))} embeddings instead of {name_of(first)} ones {'; they '.join(clauses)}."
        detail = f"± is half of a 95 % interval: for {nouns.row}s one that holds for all {count(len(table.effects), 'effect')} together"
        detail = detail + (
            f", for {nouns.baseline}s one that holds for all {len(gains)} of their differences, paired by split." if gains else "."
        )
        if published and level == "setfit":
            detail += f" Published for logistic regression on {ENCODER}: {signed(SETFIT_GAP.size)} points ({SETFIT_GAP.source})."
        lead = (told or heads)[0]
        yield Answer("What does the representation do?", text, detail, _tone(lead))


def against(group: Group, among: int, nouns: Nouns) -> Iterator[Answer]:
    """Yield how the picked row compares with each baseline on the same embeddings.

    Args:
        group: the arms on one kind of embeddings.
        among: how many comparisons the intervals hold for together.
        nouns: what rows and baselines are called.
    """
    question = "Against classical heads" + ("" if group.representation is None else f", on {name_of(group.representation)} embeddings")
    picked = [comparison for comparison in group.comparisons if comparison.arm not in (MEAN_ROW, PICKED)]
    if not picked:
        if group.results["row"].isna().any():
            yield Answer(question, "No baseline shares a finished split with the design yet.")
        else:
            where = "The study" if group.representation is None else "This representation"
            yield Answer(question, f"{where} has no baselines: nothing here says whether a classical head would do better.")
        return
    told = sorted((_Told(_head(one, group), one.mean, one) for one in picked), key=lambda one: one.difference)
    row = f"The row picked by {picked_by(group.results)}, {picked[0].arm},"
    beaten = _every_row_is_below(group, picked)
    known = [one for one in picked if one.interval]
    if not known:
        text = f"{row} scores {_below(told, len(told))}; there are too few common splits for intervals."
        yield Answer(question, text)
        return
    below, above, open_ = ([one for one in told if _side(one) == side] for side in ("falls", "rises", "open"))
    clauses = [f"lies {_below(below, len(told))}"] if below else []
    clauses += [f"beats {_beaten(above[::-1], len(told))}"] if above else []
    clauses += [f"is not told apart from {_open(open_, len(told))}"] if open_ else []
    text = f"{row} {_joined(clauses)}."
    if beaten and not above and not open_:
        names = listed([one.who for one in told], "or") if len(told) <= MOST_NAMED else f"any of the {len(told)} classical heads"
        text = f"No {nouns.row} beats {names} on the same embeddings, not even the one that tests best. {text}"
    together = f" that holds for all {among} comparisons together" if among > 1 else ""
    detail = f"Differences on {_splits(picked)}, in percentage points; ± is half of a 95 % interval{together}."
    tone: Tone = "down" if below and not above else "up" if above and not below else "none"
    yield Answer(question, text, detail, tone)


def _every_row_is_below(group: Group, picked: Sequence[Comparison]) -> bool:
    rows, baselines = by_split(group.results, "test_accuracy"), by_split(group.results, "test_accuracy", baselines=True)
    return all(float(rows.sub(baselines[one.baseline], axis=0).mean().max()) < 0 for one in picked)


def _side(told: _Told) -> str:
    return "open" if not told.known.stands_out else "rises" if told.difference > 0 else "falls"


def _tone(told: _Told) -> Tone:
    tones: dict[str, Tone] = {"rises": "up", "falls": "down", "open": "none"}
    return tones[_side(told)]


def _sides(told: Sequence[_Told]) -> Iterator[tuple[str, list[_Told]]]:
    """Yield what rises, falls and cannot be told, each with its verb."""
    verbs = {"rises": "raise accuracy", "falls": "lower accuracy", "open": "make no difference that can be told from noise"}
    for side, verb in verbs.items():
        if part := [one for one in told if _side(one) == side]:
            yield verb, part


def _each(told: Sequence[_Told]) -> str:
    """Return `by 3.6 ± 0.4 points for quantum rows and by 3.5 ± 0.3 for logistic regression`."""
    if _side(told[0]) == "open":
        return f"for {_open(told, len(told))}"
    first, *others = told
    if len(others) < MOST_NAMED:
        return listed([f"by {_size(first)} points for {first.who}", *(f"by {_size(one)} for {one.who}" for one in others)])
    sizes = sorted(abs(one.difference) for one in others)
    return (
        f"by {_size(first)} points for {first.who}, and by {100 * sizes[0]:.1f} to {100 * sizes[-1]:.1f} for {len(others)} classical heads"
    )


def _below(told: Sequence[_Told], of: int) -> str:
    """Return `7.5 ± 1.7 points below a and 4.3 ± 2.6 below b`, in short for many `of` so many."""
    first, *others = told
    if len(told) <= MOST_NAMED:
        return listed([f"{_size(first)} points {_where(first)} {first.who}", *(f"{_size(one)} {_where(one)} {one.who}" for one in others)])
    return f"{_where(told[-1])} {_share(told, of)}, by {_size(told[-1])} points ({told[-1].who}) to {_size(first)} ({first.who})"


def _beaten(told: Sequence[_Told], of: int) -> str:
    if len(told) <= MOST_NAMED:
        return listed([f"{one.who} by {_size(one)}{' points' if one is told[0] else ''}" for one in told])
    return f"{_share(told, of)}, by {_size(told[-1])} points ({told[-1].who}) to {_size(told[0])} ({told[0].who})"


def _open(told: Sequence[_Told], of: int) -> str:
    if len(told) > MOST_NAMED:
        return f"any of the {of} classical heads" if len(told) == of else _share(told, of)
    return listed(
        [
            f"{one.who} ({signed_plus_minus(one.difference, one.known.simultaneous)}{', a hint' if one.known.is_hint else ''})"
            for one in told
        ]
    )


def _share(told: Sequence[_Told], of: int) -> str:
    return f"all {of} of them" if len(told) == of else f"{len(told)} of {of} classical heads"


def _where(told: _Told) -> str:
    return "above" if told.difference > 0 else "below"


def _size(told: _Told) -> str:
    return plus_minus(told.difference, told.known.simultaneous)


def _head(comparison: Comparison, group: Group) -> str:
    return name_of(comparison.baseline if group.representation is None else head_of(comparison.baseline))


def _splits(picked: Sequence[Comparison]) -> str:
    numbers = sorted({len(one.by_split) for one in picked})
    return count(numbers[0], "common split") if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]} common splits"


def _joined(clauses: Sequence[str]) -> str:
    return clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])}, and {clauses[-1]}"
