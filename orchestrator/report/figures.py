"""The figures of a report: which it has, in which order, their captions, and the tables that they are made of.

How each is drawn is in the modules `*_figures.py`.
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
from hadamard.orchestrator.report.cost_tables import energy_origin
from hadamard.orchestrator.report.published import ENCODER, QUANTUM_GAPS, SETFIT_GAP
from hadamard.orchestrator.study.schema import REPRESENTATION

FEWEST_FOR_HALF_NORMAL = 6
MOST_INTERACTION_PANELS = 8
MOST_CURVES = 8
MOST_TRENDS = 4
INTERVALS = " Thick: 95 % interval by itself; thin: interval that holds for all at once."
QUBITS = "head.qubits"


@dataclass(frozen=True)
class ReportFigure:
    """A figure of the page: its file name without ending, its caption, and the figure itself."""

    name: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Analysis:
    """A study's results and their analysis, as figures need them."""

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


def figures_of(study: Analysis) -> list[ReportFigure]:
    """Return the figures for which there are data."""
    return [*_effects(study), *_interactions(study), *_comparisons(study), *_qubits(study), *_costs(study), *_learning(study)]


def _effects(study: Analysis) -> Iterator[ReportFigure]:
    mains = study.mains
    if not mains.effects:
        return
    means = [_level_means(study, at) for at in range(len(study.names))]
    bars = "" if mains.error.sd is None else "; bars are 95 % intervals"
    caption = f"Mean accuracy at each level, the others at their average{bars}. The dashed line is the mean."
    yield ReportFigure("main_effects", caption, effect_figures.main_effects(mains, study.design.factors, means))
    caption = f"Change of accuracy from low to high.{INTERVALS if mains.error.method != 'none' else ''}"
    beside = _published_effects(study)
    if beside:
        caption += f" Upright mark: what SetFit gave logistic regression in {SETFIT_GAP.source}, with {ENCODER}."
    if len(mains.effects) > effect_figures.MOST_EFFECTS:
        caption += f" The {effect_figures.MOST_EFFECTS} largest."
    yield ReportFigure("effects", caption, effect_figures.forest(mains, beside))
    if len(mains.effects) >= FEWEST_FOR_HALF_NORMAL:
        caption = "Effects without influence lie on a line through zero. Dashed, where near: Lenth's margins, which need no replicates."
        yield ReportFigure("half_normal", caption, effect_figures.half_normal_plot(mains))


def _published_effects(study: Analysis) -> dict[str, Any]:
    """Return by label the effect of SetFit in place of frozen embeddings, if the study has it."""
    if not study.published:
        return {}
    for effect in study.mains.effects:
        factor = study.design.factors[effect.factors[0]]
        if (
            factor.path == REPRESENTATION
            and factor.levels[0] == "frozen"
            and (effect.label.endswith("= setfit") or factor.levels[1:] == ("setfit",))
        ):
            return {effect.label: SETFIT_GAP}
    return {}


def _interactions(study: Analysis) -> Iterator[ReportFigure]:
    cells = [(effect, *(study.names[at] for at in effect.factors), _cells(study, effect)) for effect in _largest(study.pairs)]
    cells = [cell for cell in cells if len(cell[-1]) > 3][:MOST_INTERACTION_PANELS]
    if cells:
        caption = "Cell means with 95 % intervals; parallel lines mean that two factors do not interact. The largest are shown."
        yield ReportFigure("interactions", caption, effect_figures.interactions(study.pairs, cells))


def _comparisons(study: Analysis) -> Iterator[ReportFigure]:
    compared = [pair for group in study.groups for pair in group.comparisons]
    if not compared:
        return
    caption = "Differences on the same splits; small dots are single splits."
    caption += INTERVALS if any(pair.interval for pair in compared) else ""
    if not comparison_figures.in_full(study.groups):
        caption += " Beside each classical head only the picked row is shown; the table has all comparisons."
    gaps = QUANTUM_GAPS if study.published and study.quantum else ()
    if gaps:
        caption += f" Dotted: published gaps between quantum and classical heads, measured with {ENCODER} (sources below)."
    yield ReportFigure("paired_differences", caption, comparison_figures.paired(study.groups, nouns(study.quantum), gaps))


def _qubits(study: Analysis) -> Iterator[ReportFigure]:
    at = next((at for at, factor in enumerate(study.design.factors) if factor.path == QUBITS), None)
    if at is None or not study.mains.effects:
        return
    effect = next((effect for effect in study.mains.effects if effect.factors == (at,)), None)
    by = _beside_qubits(study, at)
    trends = _trends(study, at, by)
    if not trends or (len(trends) == 1 and len(trends[0].table) == 2 and trends[0].baseline is None):
        return  # the figure of main effects has this already
    bands = "Bands are 95 % intervals, each by itself. " if trends[0].table["low"].notna().all() else ""
    average = "the other factors" if by is None else f"all factors but these two ({study.names[by]} has a line per level)"
    caption = f"Means over {average}. {bands}" + (
        f"Dashed: the classical head with the highest {WORDS[ranking_column(_heads(study))]} accuracy."
        if any(trend.baseline for trend in trends)
        else ""
    )
    yield ReportFigure("qubits", caption.strip(), trend_figures.qubit_trend(trends, effect))


def _beside_qubits(study: Analysis, qubits: int) -> int | None:
    """Return the factor that gets a line per level: the representation, else the one that clearly interacts most with qubits."""
    for at, factor in enumerate(study.design.factors):
        if factor.path == REPRESENTATION:
            return at
    clear = [effect for effect in study.pairs.effects if effect.stands_out and qubits in effect.factors]
    for effect in sorted(clear, key=lambda effect: -abs(effect.estimate)):
        other = next(at for at in effect.factors if at != qubits)
        if len(study.design.factors[other].choices) <= MOST_TRENDS:
            return other
    return None


def _trends(study: Analysis, qubits: int, by: int | None) -> list[trend_figures.Trend]:
    factors = (qubits,) if by is None else (qubits, by)
    means = adjusted_means(study.design, study.results, study.pairs if by is not None and study.pairs.effects else study.mains, factors)
    if means.empty:
        return []
    factor = study.design.factors[qubits]
    means["qubits"] = [factor.at(coded[0]) for coded in means["coded"]]
    named = "" if by is None or study.design.factors[by].path == REPRESENTATION else f"{study.names[by]} "
    means["line"] = ["quantum rows" if by is None else f"quantum, {named}{label[1]}" for label in means["label"]]
    whole = len(study.groups) == 1
    heads = _heads(study)
    best_first = heads.sort_values(ranking_column(heads), ascending=False, kind="stable")
    by_level = {group.representation: _strongest(best_first, group) for group in study.groups}
    trends = []
    for line, table in means.groupby("line", sort=False):
        level = None if whole else table["label"].iloc[0][-1]
        trends.append(trend_figures.Trend(str(line), table.sort_values("qubits"), by_level.get(level)))
    if whole and len(trends) > 1:
        trends = [trend_figures.Trend(trend.label, trend.table, trend.baseline if at == 0 else None) for at, trend in enumerate(trends)]
    return [trend for trend in trends if len(trend.table) > 1]


def _heads(study: Analysis) -> pd.DataFrame:
    arms = arm_means(study.results)
    return arms[arms["baseline"]]


def _strongest(best_first: pd.DataFrame, group: Group) -> tuple[str, float] | None:
    """Return name and mean test accuracy of the first of these classical heads that is on the group's embeddings."""
    heads = best_first[best_first["arm"].isin(group.results["arm"])]
    if heads.empty:
        return None
    best = heads.iloc[0]
    name = str(best["arm"]) if group.representation is None else f"{head_of(str(best['arm']))}, {group.representation}"
    return name, float(best["mean"])


def _costs(study: Analysis) -> Iterator[ReportFigure]:
    arms = arm_means(study.results, study.costs)
    cost = "energy_j" if len(arms) and arms["energy_j"].notna().all() else "train_s"
    columns = [column for column in ("parameters", cost) if (arms[column].astype(float) > 0).sum() > 1]
    if columns:
        caption = (
            "Each dot is an arm, its mean over finished splits. No arm is as accurate for less than those on the line, which carry their "
            "names; how sure such differences are is said by the paired ones above. Parameters: trained ones only."
        )
        yield ReportFigure("costs", caption, cost_figures.tradeoffs(arms, columns, nouns(study.quantum), energy_origin(study.costs)))


def _learning(study: Analysis) -> Iterator[ReportFigure]:
    """Yield the learning curves of arms trained by gradient, the best first; evenly spaced over that order if there are many."""
    keys = study.results[study.results["status"] == "done"].groupby("arm")["key"].agg(list)
    epochs = {str(arm): [epoch for key in of_arm for epoch in study.curves.get(key, ())] for arm, of_arm in keys.items()}
    arms = arm_means(study.results)
    arms = arms[arms["arm"].isin([arm for arm, learned in epochs.items() if learned])]
    column, best = ranking_column(arms), best_by_validation(study.results)
    learned = [
        (f"{arm}, best by {picked_by(study.results)}" if arm == best else str(arm), pd.DataFrame(epochs[arm]))
        for arm in arms.sort_values(column, ascending=False, kind="stable")["arm"]
    ]
    if learned:
        kept = sorted(set(np.linspace(0, len(learned) - 1, min(len(learned), MOST_CURVES)).round().astype(int)))
        some = f" {len(kept)} of {len(learned)} arms, from the best to the worst by {WORDS[column]}." if len(kept) < len(learned) else ""
        caption = f"Lines: mean over splits. Bands: smallest to largest split.{some}"
        yield ReportFigure("learning_curves", caption, trend_figures.learning_curves([learned[at] for at in kept]))


def _level_means(study: Analysis, factor: int) -> pd.DataFrame:
    """Return the means of a factor's levels; of rows, where a numeric factor has more levels than a figure shows."""
    seen = observed(study.design, study.results, study.mains.response)
    levels = np.unique(seen.coded[:, factor].round(9))
    if len(levels) <= effect_figures.MOST_LEVELS or study.design.factors[factor].is_unordered:
        return adjusted_means(study.design, study.results, study.mains, (factor,))
    rows = pd.DataFrame({"at": seen.coded[:, factor], "row": seen.rows, "mean": seen.response}).groupby("row").mean()
    return pd.DataFrame({"coded": [(at,) for at in rows["at"]], "mean": rows["mean"]})


def _largest(pairs: Effects) -> list[Effect]:
    """Return the largest effect of each pair of factors, largest first."""
    ordered = sorted(pairs.effects, key=lambda effect: -abs(effect.estimate))
    by_pair: dict[tuple[int, ...], Effect] = {}
    for effect in ordered:
        by_pair.setdefault(effect.factors, effect)
    return list(by_pair.values())


def _cells(study: Analysis, effect: Effect) -> pd.DataFrame:
    """Return the cell means of a pair of factors, none where a factor has more levels than a figure shows."""
    coded = observed(study.design, study.results, study.pairs.response).coded[:, effect.factors]
    few = all(len(np.unique(column.round(9))) <= effect_figures.MOST_LEVELS for column in coded.T)
    return adjusted_means(study.design, study.results, study.pairs, effect.factors) if few else pd.DataFrame()
