"""`hadamard compare` as text: sizes, settings that differ, arms, effects and costs of two studies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from hadamard.model.errors import UserError
from hadamard.orchestrator.analysis.inference import Uncertainty
from hadamard.orchestrator.commands.compare.arms import ArmPair, ArmSummary, Difference
from hadamard.orchestrator.commands.compare.comparison import StudyComparison, StudySummary, compare
from hadamard.orchestrator.commands.compare.effects import EffectPair
from hadamard.orchestrator.commands.compare.side import Side
from hadamard.orchestrator.commands.render import pairs, render, table
from hadamard.orchestrator.formats import NONE, between, count, duration, joules, percent, signed
from hadamard.orchestrator.ledger.ledger import STATUSES
from hadamard.orchestrator.ledger.reopen import reopen

ARM_HEADINGS = ("arm", "rows", "first", "splits", "second", "splits", "difference", "interval", "how", "verdict")
EFFECT_HEADINGS = ("effect", "first", "interval", "second", "interval", "difference", "interval", "they")
VERDICTS = {"stands out": "differ", "hint": "hint", "noise": "noise", "unknown": "too few splits"}
AGREE = {True: "agree", False: "differ", None: "unknown"}


def show_comparison(first: Path, second: Path, as_json: bool) -> str:
    """Return how two studies' directories compare, as text or JSON.

    Raises:
        UserError: One is no study's directory, both are the same, nothing has finished, or they have nothing in common.
    """
    if first.resolve() == second.resolve():
        raise UserError(f"{first} and {second} are the same directory: name two studies, such as runs/one runs/two")
    return render(compare(_open(first), _open(second)), _lines, as_json)


def _open(directory: Path) -> Side:
    ledger, plan = reopen(directory)
    return Side(str(directory), plan, ledger.records(plan.trials))


def _lines(studies: StudyComparison) -> Iterator[str]:
    both = f"{count(studies.shared_trials, 'finished trial')} the very same: what rests on them is no difference"
    sizes = [("first", _size(studies.first)), ("second", _size(studies.second))]
    yield from pairs(sizes + ([("both", both)] if studies.shared_trials else []), width=8)
    yield from ("", "Settings that differ" if studies.settings else "All settings are the same.")
    if studies.settings:
        rows = [(setting.path, setting.first or NONE, setting.second or NONE) for setting in studies.settings]
        yield from table(("setting", "first", "second"), rows, texts=3)
    yield from (
        "",
        "Test accuracy, the mean of what is done, and second minus first in points with 95 % intervals, on common splits if any;",
    )
    yield "hint: the interval excludes zero; differ: so does the one that holds for all arms together"
    yield from table(ARM_HEADINGS, map(_arm_cells, studies.arms), texts=2)
    if studies.effects:
        yield from ("", "Effects on test accuracy in points with 95 % intervals, each by itself; second minus first as if their noise were")
        yield "independent; they agree where the difference could be nothing"
        yield from table(EFFECT_HEADINGS, map(_effect_cells, studies.effects), texts=1)
    yield from ("", "What the finished trials took")
    yield from table(("", "first", "second"), [(name, of(studies.first), of(studies.second)) for name, of in COSTS.items()], texts=1)


def _measured(value: float | None, words: Callable[[float], str]) -> str:
    return "not measured" if value is None else words(value)


def _per_trial(total: float | None, study: StudySummary) -> float | None:
    return None if total is None else total / study.trials["done"]


COSTS: dict[str, Callable[[StudySummary], str]] = {
    "trials": lambda study: str(study.trials["done"]),
    "training": lambda study: _measured(study.train_s, duration),
    "training per trial": lambda study: _measured(_per_trial(study.train_s, study), duration),
    "energy": lambda study: _measured(study.energy_j, joules),
    "energy per trial": lambda study: _measured(_per_trial(study.energy_j, study), joules),
}


def _size(study: StudySummary) -> str:
    states = ", ".join(f"{study.trials[state]} {state}" for state in STATUSES if study.trials[state])
    sizes = f"{count(study.rows, 'row')}, {count(len(study.baselines), 'baseline')} x {count(study.splits, 'split')}"
    return f"{study.study} in {study.directory}: {study.design}, {sizes}; of {count(study.trials['total'], 'trial')} {states}"


def _arm_cells(pair: ArmPair) -> tuple[str, ...]:
    names = " / ".join(dict.fromkeys(_names(arm) for arm in (pair.first, pair.second) if arm))
    means = [cell for arm in (pair.first, pair.second) for cell in _mean(arm)]
    if pair.difference is None:
        return pair.arm, names, *means, NONE, NONE, NONE, NONE
    first, second = pair.difference.splits
    how = f"paired, {first}" if pair.difference.method == "paired" else f"unpaired, {first} and {second}"
    return pair.arm, names, *means, *_estimate(pair.difference.estimate, pair.difference), how, _verdict(pair.difference)


def _names(arm: ArmSummary) -> str:
    return arm.rows[0] if len(arm.rows) == 1 else f"{len(arm.rows)} rows"


def _mean(arm: ArmSummary | None) -> tuple[str, str]:
    return (NONE, NONE) if arm is None or arm.mean is None else (percent(arm.mean), str(arm.splits))


def _effect_cells(pair: EffectPair) -> tuple[str, ...]:
    sides = [cell for effect in (pair.first, pair.second) for cell in (_estimate(effect.estimate, effect) if effect else (NONE, NONE))]
    difference = (NONE, NONE) if pair.difference is None else _estimate(pair.difference, pair.uncertainty)
    return pair.label, *sides, *difference, "other levels" if pair.difference is None else AGREE[pair.agree]


def _estimate(estimate: float, uncertainty: Uncertainty) -> tuple[str, str]:
    return signed(estimate), NONE if uncertainty.interval is None else between(uncertainty.interval)


def _verdict(difference: Difference) -> str:
    return "the same" if difference.interval is None and difference.estimate == 0 else VERDICTS[difference.verdict]
