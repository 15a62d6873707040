"""The report of a study: one HTML page that stands alone, its pictures beside it, and the tables as CSV and Parquet.

Owns what the page shows and in which order. Does not own numbers (analysis, comparisons), sentences (headline) or pictures (figures).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from model.journal import write_atomically
from orchestrator.analysis.comparisons import Comparison, best_by_validation, by_split, paired_differences, screen
from orchestrator.analysis.effects import Effect, Effects, adjusted_means, interactions, main_effects, observed
from orchestrator.design.design import Design
from orchestrator.design.factors import short_names
from orchestrator.report import figures, tables
from orchestrator.report.drawing import save
from orchestrator.report.formats import count
from orchestrator.report.headline import headline

FEWEST_FOR_HALF_NORMAL = 4
MOST_INTERACTION_PANELS = 8
MOST_CURVES = 12
INTERVALS = " Thick: 95 % interval by itself; thin: interval that holds for all at once."


@dataclass(frozen=True)
class Picture:
    """A picture of the page: its file name without ending, what it shows in words, and the drawing."""

    name: str
    caption: str
    figure: Figure


def write(
    directory: Path,
    *,
    study: Mapping[str, str],
    design: Design,
    results: pd.DataFrame,
    costs: pd.DataFrame,
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
    provenance: Mapping[str, str],
) -> Path:
    """Write the report and return the path of its page.

    Writes `report.html`, a PNG per picture, `results.csv`, `results.parquet` and `costs.csv`. The same results give the same bytes of
    `results.csv`; times and joules are only in `costs.csv`.

    Args:
        directory: made if it is not there.
        study: `name` and other settings worth showing, as text; `energy` says why it could not be measured.
        design: the study's design.
        results: as `results_table` makes it.
        costs: as `costs_table` makes it; missing is not measured.
        curves: per key its epochs, each with epoch, train_accuracy and validation_accuracy.
        provenance: what a reader needs to run it again, as text.
    """
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / "results.csv", results.to_csv(index=False, lineterminator="\n"))
    results.to_parquet(directory / "results.parquet", index=False)
    write_atomically(directory / "costs.csv", costs.to_csv(index=False, lineterminator="\n"))
    mains, pairs = main_effects(design, results), interactions(design, results)
    compared = paired_differences(results)
    pictures = draw(design, results, mains, pairs, compared, curves)
    for picture in pictures:
        save(picture.figure, directory / f"{picture.name}.png")
    page = _template().render(
        name=study.get("name", "study"),
        findings=headline(results, mains, pairs, compared, screen(results)),
        tiles=tables.tiles(results, mains),
        glance=tables.glance(study, design, results),
        factors=tables.factor_rows(design),
        mains=mains,
        main_rows=tables.effect_rows(mains),
        tests=tables.test_rows(design, mains),
        yardstick=tables.YARDSTICKS[mains.error.method],
        alias_lines=mains.aliases.lines() if mains.aliases else [],
        pairs=pairs,
        pair_rows=tables.effect_rows(pairs),
        has_baselines=bool(results["row"].isna().any()),
        comparisons=[tables.comparison_row(comparison) for comparison in compared],
        cost_kinds=tables.COSTS.values(),
        cost_rows=tables.cost_rows(results, costs),
        cost_effects=tables.cost_effects(design, results, costs),
        energy=tables.energy_note(costs, study.get("energy")),
        rows=tables.row_table(design, results),
        names=short_names(design.factors),
        failed=results[results["status"] == "failed"].to_dict("records"),
        provenance=provenance,
        pictures={picture.name: _embedded(directory, picture) for picture in pictures},
    )
    write_atomically(directory / "report.html", page)
    return directory / "report.html"


def draw(
    design: Design,
    results: pd.DataFrame,
    mains: Effects,
    pairs: Effects,
    compared: Sequence[Comparison],
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[Picture]:
    """Return those pictures for which there are data."""
    found = []
    names = short_names(design.factors)
    if mains.effects:
        means = [_level_means(design, results, mains, at) for at in range(len(names))]
        bars = "" if mains.error.sd is None else "; bars are 95 % intervals"
        caption = f"Mean accuracy at each level, the others at their average{bars}. The dashed line is the mean."
        found.append(Picture("main_effects", caption, figures.main_effects(mains, design.factors, means)))
        caption = f"Change of accuracy from low to high.{INTERVALS if mains.error.method != 'none' else ''}"
        found.append(Picture("effects", caption, figures.forest(mains)))
    if len(mains.effects) >= FEWEST_FOR_HALF_NORMAL:
        caption = "Effects without influence lie on a line through zero. Dashed, where near: Lenth's margins, which need no replicates."
        found.append(Picture("half_normal", caption, figures.half_normal_plot(mains)))
        caption = "Each bar has to pass its thick mark to stand out alone, its thin mark to stand out among all."
        found.append(Picture("pareto", caption, figures.pareto(mains)))
    cells = [(effect, *(names[at] for at in effect.factors), _cells(design, results, pairs, effect)) for effect in _largest(pairs)]
    cells = [cell for cell in cells if len(cell[-1]) > 3][:MOST_INTERACTION_PANELS]
    if cells:
        caption = "Cell means; parallel lines mean that two factors do not interact. The largest are shown."
        found.append(Picture("interactions", caption, figures.interactions(pairs, cells)))
    if compared:
        intervals = INTERVALS if any(comparison.interval for comparison in compared) else ""
        caption = f"Differences on the same splits; small dots are single splits.{intervals}"
        found.append(Picture("paired_differences", caption, figures.paired(compared)))
    rows, baselines = by_split(results, "test_accuracy"), by_split(results, "test_accuracy", baselines=True)
    if len(rows.index.union(baselines.index)) > 1:
        caption = "Grey dots are rows of the design. Every arm sees the same splits, so what they share cancels in differences."
        found.append(Picture("splits", caption, figures.splits(rows, baselines)))
    arms = tables.arm_means(results)
    if len(arms.dropna(subset="parameters")) > 1:
        caption = "Trained parameters only; the sentence encoder is frozen and the same for all."
        found.append(Picture("parameters", caption, figures.parameters(arms.dropna(subset="parameters"))))
    learned = _learning(results, curves)
    if learned:
        caption = "Lines: mean over splits. Bands: smallest to largest split."
        found.append(Picture("learning_curves", caption, figures.learning_curves(learned)))
    return found


def _level_means(design: Design, results: pd.DataFrame, mains: Effects, factor: int) -> pd.DataFrame:
    """Return the means of a factor's levels; of rows, where it has more levels than a picture shows or they cannot be estimated."""
    seen = observed(design, results, mains.response)
    levels = np.unique(seen.coded[:, factor].round(9))
    if len(levels) <= figures.MOST_LEVELS:
        return adjusted_means(design, results, mains, (factor,))
    rows = pd.DataFrame({"at": seen.coded[:, factor], "row": seen.rows, "mean": seen.response}).groupby("row").mean()
    return pd.DataFrame({"coded": [(at,) for at in rows["at"]], "mean": rows["mean"]})


def _largest(pairs: Effects) -> list[Effect]:
    """Return the largest effect of each pair of factors, largest first."""
    ordered = sorted(pairs.effects, key=lambda effect: -abs(effect.estimate))
    by_pair: dict[tuple[int, ...], Effect] = {}
    for effect in ordered:
        by_pair.setdefault(effect.factors, effect)
    return list(by_pair.values())


def _cells(design: Design, results: pd.DataFrame, pairs: Effects, effect: Effect) -> pd.DataFrame:
    """Return the cell means of a pair of factors, none where a factor has more levels than a picture shows."""
    coded = observed(design, results, pairs.response).coded[:, effect.factors]
    few = all(len(np.unique(column.round(9))) <= figures.MOST_LEVELS for column in coded.T)
    return adjusted_means(design, results, pairs, effect.factors) if few else pd.DataFrame()


def _learning(results: pd.DataFrame, curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[tuple[str, pd.DataFrame]]:
    """Return titles and epochs of the rows with curves, best validation accuracy first; evenly spaced over that order if there are many."""
    arms = tables.arm_means(results).sort_values("validation", ascending=False, kind="stable")
    keys = results[results["status"] == "done"].groupby("arm")["key"].agg(list)
    found = []
    for arm in arms["arm"]:
        epochs = [epoch for key in keys[arm] for epoch in curves.get(key, ())]
        if epochs:
            found.append((str(arm), pd.DataFrame(epochs)))
    kept = sorted(set(np.linspace(0, len(found) - 1, min(len(found), MOST_CURVES)).round().astype(int))) if found else []
    best = best_by_validation(results)
    return [(f"{arm}, best by validation" if arm == best else arm, epochs) for arm, epochs in (found[at] for at in kept)]


def _embedded(directory: Path, picture: Picture) -> dict[str, str]:
    data = base64.b64encode((directory / f"{picture.name}.png").read_bytes()).decode()
    return {"source": f"data:image/png;base64,{data}", "caption": picture.caption}


def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals["count"] = count
    return environment.get_template("report.html.j2")
