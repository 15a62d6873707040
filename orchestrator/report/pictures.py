"""Which pictures a report has, in which order, and their captions.

Owns the choice, and the tables that pictures are drawn from. Does not own the drawing (the modules of figures), nor any number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hadamard.orchestrator.analysis.comparisons import best_by_validation
from hadamard.orchestrator.analysis.effects import Effect, Effects, adjusted_means
from hadamard.orchestrator.analysis.observations import observed
from hadamard.orchestrator.design.design import Design
from hadamard.orchestrator.design.factors import short_names
from hadamard.orchestrator.report import comparison_figures, cost_figures, effect_figures, trend_figures
from hadamard.orchestrator.report.answers import nouns
from hadamard.orchestrator.report.arms import WORDS, Group, arm_means, head_of, picked_by, ranking_column
from hadamard.orchestrator.report.cost_tables import come_by
from hadamard.orchestrator.report.published import ENCODER, QUANTUM_GAPS, SETFIT_GAP
from hadamard.orchestrator.study.schema import REPRESENTATION

FEWEST_FOR_HALF_NORMAL = 6
MOST_INTERACTION_PANELS = 8
MOST_CURVES = 8
MOST_TRENDS = 4
INTERVALS = " Thick: 95 % interval by itself; thin: interval that holds for all at once."
QUBITS = "head.qubits"


@dataclass(frozen=True)
class Picture:
    """A picture of the page: its file name without ending, what it shows in words, and the drawing."""

    name: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Found:
    """What a study found, as pictures need it."""

    design: Design
    results: pd.DataFrame
    costs: pd.DataFrame
    mains: Effects
    pairs: Effects
    groups: tuple[Group, ...]
    curves: Mapping[str, Sequence[Mapping[str, Any]]]
    published: bool
    """Whether published numbers of this task belong beside ours."""
    quantum: bool
    """Whether its rows are quantum heads."""

    @property
    def names(self) -> list[str]:
        """Short names of the factors."""
        return short_names(self.design.factors)


def draw(found: Found) -> list[Picture]:
    """Return those pictures for which there are data."""
    return [*_effects(found), *_interactions(found), *_comparisons(found), *_qubits(found), *_costs(found), *_learning(found)]


def _effects(found: Found) -> Iterator[Picture]:
    mains = found.mains
    if not mains.effects:
        return
    means = [_level_means(found, at) for at in range(len(found.names))]
    bars = "" if mains.error.sd is None else "; bars are 95 % intervals"
    caption = f"Mean accuracy at each level, the others at their average{bars}. The dashed line is the mean."
    yield Picture("main_effects", caption, effect_figures.main_effects(mains, found.design.factors, means))
    caption = f"Change of accuracy from low to high.{INTERVALS if mains.error.method != 'none' else ''}"
    beside = _published_effects(found)
    if beside:
        caption += f" Upright mark: what SetFit gave logistic regression in {SETFIT_GAP.source}, with {ENCODER}."
    if len(mains.effects) > effect_figures.MOST_EFFECTS:
        caption += f" The {effect_figures.MOST_EFFECTS} largest."
    yield Picture("effects", caption, effect_figures.forest(mains, beside))
    if len(mains.effects) >= FEWEST_FOR_HALF_NORMAL:
        caption = "Effects without influence lie on a line through zero. Dashed, where near: Lenth's margins, which need no replicates."
        yield Picture("half_normal", caption, effect_figures.half_normal_plot(mains))


def _published_effects(found: Found) -> dict[str, Any]:
    """Return by label the effect of SetFit in place of frozen embeddings, if the study has it."""
    if not found.published:
        return {}
    for effect in found.mains.effects:
        factor = found.design.factors[effect.factors[0]]
        if (
            factor.path == REPRESENTATION
            and factor.levels[0] == "frozen"
            and (effect.label.endswith("= setfit") or factor.levels[1:] == ("setfit",))
        ):
            return {effect.label: SETFIT_GAP}
    return {}


def _interactions(found: Found) -> Iterator[Picture]:
    cells = [(effect, *(found.names[at] for at in effect.factors), _cells(found, effect)) for effect in _largest(found.pairs)]
    cells = [cell for cell in cells if len(cell[-1]) > 3][:MOST_INTERACTION_PANELS]
    if cells:
        caption = "Cell means with 95 % intervals; parallel lines mean that two factors do not interact. The largest are shown."
        yield Picture("interactions", caption, effect_figures.interactions(found.pairs, cells))


def _comparisons(found: Found) -> Iterator[Picture]:
    compared = [one for group in found.groups for one in group.comparisons]
    if not compared:
        return
    caption = "Differences on the same splits; small dots are single splits."
    caption += INTERVALS if any(one.interval for one in compared) else ""
    if not comparison_figures.in_full(found.groups):
        caption += " Beside each classical head only the picked row is shown; the table has all comparisons."
    gaps = QUANTUM_GAPS if found.published and found.quantum else ()
    if gaps:
        caption += f" Dotted: published gaps between quantum and classical heads, measured with {ENCODER} (sources below)."
    yield Picture("paired_differences", caption, comparison_figures.paired(found.groups, nouns(found.quantum), gaps))


def _qubits(found: Found) -> Iterator[Picture]:
    at = next((at for at, factor in enumerate(found.design.factors) if factor.path == QUBITS), None)
    if at is None or not found.mains.effects:
        return
    effect = next((effect for effect in found.mains.effects if effect.factors == (at,)), None)
    by = _beside_qubits(found, at)
    trends = _trends(found, at, by)
    if not trends or (len(trends) == 1 and len(trends[0].table) == 2 and trends[0].baseline is None):
        return  # the picture of main effects has this already
    bands = "Bands are 95 % intervals, each by itself. " if trends[0].table["low"].notna().all() else ""
    average = "the other factors" if by is None else f"all factors but these two ({found.names[by]} has a line per level)"
    caption = f"Means over {average}. {bands}" + (
        f"Dashed: the classical head with the highest {WORDS[ranking_column(_heads(found))]} accuracy."
        if any(trend.baseline for trend in trends)
        else ""
    )
    yield Picture("qubits", caption.strip(), trend_figures.qubit_trend(trends, effect))


def _beside_qubits(found: Found, qubits: int) -> int | None:
    """Return the factor that gets a line per level: the representation, else the one that clearly interacts most with qubits."""
    for at, factor in enumerate(found.design.factors):
        if factor.path == REPRESENTATION:
            return at
    clear = [effect for effect in found.pairs.effects if effect.stands_out and qubits in effect.factors]
    for effect in sorted(clear, key=lambda effect: -abs(effect.estimate)):
        other = next(at for at in effect.factors if at != qubits)
        if len(found.design.factors[other].choices) <= MOST_TRENDS:
            return other
    return None


def _trends(found: Found, qubits: int, by: int | None) -> list[trend_figures.Trend]:
    factors = (qubits,) if by is None else (qubits, by)
    means = adjusted_means(found.design, found.results, found.pairs if by is not None and found.pairs.effects else found.mains, factors)
    if means.empty:
        return []
    factor = found.design.factors[qubits]
    means["qubits"] = [factor.at(coded[0]) for coded in means["coded"]]
    named = "" if by is None or found.design.factors[by].path == REPRESENTATION else f"{found.names[by]} "
    means["line"] = ["quantum rows" if by is None else f"quantum, {named}{label[1]}" for label in means["label"]]
    whole = len(found.groups) == 1
    heads = _heads(found)
    best_first = heads.sort_values(ranking_column(heads), ascending=False, kind="stable")
    by_level = {group.representation: _strongest(best_first, group) for group in found.groups}
    trends = []
    for line, table in means.groupby("line", sort=False):
        level = None if whole else table["label"].iloc[0][-1]
        trends.append(trend_figures.Trend(str(line), table.sort_values("qubits"), by_level.get(level)))
    if whole and len(trends) > 1:
        trends = [trend_figures.Trend(one.label, one.table, one.baseline if at == 0 else None) for at, one in enumerate(trends)]
    return [trend for trend in trends if len(trend.table) > 1]


def _heads(found: Found) -> pd.DataFrame:
    arms = arm_means(found.results)
    return arms[arms["baseline"]]


def _strongest(best_first: pd.DataFrame, group: Group) -> tuple[str, float] | None:
    """Return name and mean test accuracy of the first of these classical heads that is on the group's embeddings."""
    heads = best_first[best_first["arm"].isin(group.results["arm"])]
    if heads.empty:
        return None
    best = heads.iloc[0]
    name = str(best["arm"]) if group.representation is None else f"{head_of(str(best['arm']))}, {group.representation}"
    return name, float(best["mean"])


def _costs(found: Found) -> Iterator[Picture]:
    arms = arm_means(found.results, found.costs)
    spent = "energy_j" if len(arms) and arms["energy_j"].notna().all() else "train_s"
    columns = [column for column in ("parameters", spent) if (arms[column].astype(float) > 0).sum() > 1]
    if columns:
        caption = (
            "Each dot is an arm, its mean over finished splits. No arm is as accurate for less than those on the line, which carry their "
            "names; how sure such differences are is said by the paired ones above. Parameters: trained ones only."
        )
        yield Picture("costs", caption, cost_figures.tradeoffs(arms, columns, nouns(found.quantum), come_by(found.costs)))


def _learning(found: Found) -> Iterator[Picture]:
    """Yield the learning curves of arms trained by gradient, the best first; evenly spaced over that order if there are many."""
    keys = found.results[found.results["status"] == "done"].groupby("arm")["key"].agg(list)
    epochs = {str(arm): [epoch for key in of_arm for epoch in found.curves.get(key, ())] for arm, of_arm in keys.items()}
    arms = arm_means(found.results)
    arms = arms[arms["arm"].isin([arm for arm, learned in epochs.items() if learned])]
    column, best = ranking_column(arms), best_by_validation(found.results)
    learned = [
        (f"{arm}, best by {picked_by(found.results)}" if arm == best else str(arm), pd.DataFrame(epochs[arm]))
        for arm in arms.sort_values(column, ascending=False, kind="stable")["arm"]
    ]
    if learned:
        kept = sorted(set(np.linspace(0, len(learned) - 1, min(len(learned), MOST_CURVES)).round().astype(int)))
        some = f" {len(kept)} of {len(learned)} arms, from the best to the worst by {WORDS[column]}." if len(kept) < len(learned) else ""
        caption = f"Lines: mean over splits. Bands: smallest to largest split.{some}"
        yield Picture("learning_curves", caption, trend_figures.learning_curves([learned[at] for at in kept]))


def _level_means(found: Found, factor: int) -> pd.DataFrame:
    """Return the means of a factor's levels; of rows, where a numeric factor has more levels than a picture shows."""
    seen = observed(found.design, found.results, found.mains.response)
    levels = np.unique(seen.coded[:, factor].round(9))
    if len(levels) <= effect_figures.MOST_LEVELS or found.design.factors[factor].is_unordered:
        return adjusted_means(found.design, found.results, found.mains, (factor,))
    rows = pd.DataFrame({"at": seen.coded[:, factor], "row": seen.rows, "mean": seen.response}).groupby("row").mean()
    return pd.DataFrame({"coded": [(at,) for at in rows["at"]], "mean": rows["mean"]})


def _largest(pairs: Effects) -> list[Effect]:
    """Return the largest effect of each pair of factors, largest first."""
    ordered = sorted(pairs.effects, key=lambda effect: -abs(effect.estimate))
    by_pair: dict[tuple[int, ...], Effect] = {}
    for effect in ordered:
        by_pair.setdefault(effect.factors, effect)
    return list(by_pair.values())


def _cells(found: Found, effect: Effect) -> pd.DataFrame:
    """Return the cell means of a pair of factors, none where a factor has more levels than a picture shows."""
    coded = observed(found.design, found.results, found.pairs.response).coded[:, effect.factors]
    few = all(len(np.unique(column.round(9))) <= effect_figures.MOST_LEVELS for column in coded.T)
    return adjusted_means(found.design, found.results, found.pairs, effect.factors) if few else pd.DataFrame()
