"""The report of a study: one HTML page that stands alone, its figures beside it, and the tables as CSV and Parquet.

Sentences are in the templates: those that come first in `answers.html.j2`, their limits in `remarks.html.j2`, others in `report.html.j2`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from hadamard.model.files.atomic import write_atomically
from hadamard.model.files.correct_bits import CorrectBits
from hadamard.orchestrator.analysis.comparisons import screen
from hadamard.orchestrator.analysis.curvature import curvature
from hadamard.orchestrator.analysis.effects import Effects, interactions, main_effects
from hadamard.orchestrator.design.design import Design
from hadamard.orchestrator.design.factors import short_names
from hadamard.orchestrator.energy.attribution import StudyEnergy
from hadamard.orchestrator.formats import count, p_text, percent, points, signed, signed_plus_minus
from hadamard.orchestrator.plotting import save
from hadamard.orchestrator.report import cost_tables, published, tables
from hadamard.orchestrator.report.answers import answers, limits, name_of, nouns
from hadamard.orchestrator.report.arms import Group, gains, groups, picked_by
from hadamard.orchestrator.report.disagreements import disagreements
from hadamard.orchestrator.report.figures import Analysis, ReportFigure, figures_of
from hadamard.orchestrator.study.schema import REPRESENTATION


def write(
    directory: Path,
    *,
    study: Mapping[str, str],
    quantum: bool,
    design: Design,
    results: pd.DataFrame,
    costs: pd.DataFrame,
    energy: StudyEnergy,
    grid_g_per_kwh: float | None,
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
    right: Mapping[str, CorrectBits],
    provenance: Mapping[str, str],
    planned: Sequence[Sequence[str]] = (),
) -> Path:
    """Write the report and return the path of its page.

    Writes `report.html`, a PNG per figure, `results.csv`, `results.parquet` and `costs.csv`. The same results give the same bytes of
    `results.csv`; times and joules are only in `costs.csv`.

    Args:
        directory: made if it is not there.
        study: `name` and other settings worth showing, as text; `energy` says why it could not be measured.
        quantum: whether its rows are quantum heads.
        design: the study's design.
        results: as `results_table` makes it.
        costs: as `costs_table` makes it; missing is not measured.
        energy: the study's.
        grid_g_per_kwh: grams of CO2 that the grid emits; None if that is not to be stated.
        curves: per key its epochs, each with epoch, train_accuracy and validation_accuracy.
        right: per key which of its split's test sentences a trial classified right; of those where it is known.
        provenance: what a reader needs to run it again, as text.
        planned: of the last run, what its parts were planned to take and took, as cells: what, planned, took, ratio.
    """
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / "results.csv", results.to_csv(index=False, lineterminator="\n"))
    results.to_parquet(directory / "results.parquet", index=False)
    write_atomically(directory / "costs.csv", costs.to_csv(index=False, lineterminator="\n"))
    mains, pairs = main_effects(design, results), interactions(design, results)
    compared, beside = groups(results), published.applies(provenance)
    sentences = disagreements(compared, right)
    figures = figures_of(Analysis(design, results, costs, mains, pairs, compared, curves, beside, quantum))
    for figure in figures:
        save(figure.figure, directory / f"{figure.name}.png")
    page = template("report.html.j2").render(
        answer_context(design, results, mains, pairs, compared, quantum, beside),
        name=study.get("name", "study"),
        outline=tables.outline(study, design, results),
        tiles=tables.tiles(results, mains),
        glance=tables.glance(study, design, results),
        factors=tables.factor_rows(design),
        main_rows=tables.effect_rows(mains),
        tests=tables.test_rows(design, mains),
        error_term=tables.ERROR_TERMS[mains.error.method],
        alias_lines=mains.aliases.lines() if mains.aliases else [],
        pairs=pairs,
        pair_rows=tables.effect_rows(pairs),
        comparisons=[
            tables.comparison_row(pair, picked_by(group.results), sentences.get((pair.arm, pair.baseline)))
            for group in compared
            for pair in group.comparisons
        ],
        mcnemar=bool(sentences),
        published=published.ACCURACIES if beside else (),
        own_encoder=study.get("sentence encoder", "the study's own"),
        planned=planned,
        cost_kinds=cost_tables.COSTS.values(),
        cost_rows=cost_tables.cost_rows(results, costs),
        cost_effects=cost_tables.cost_effects(design, results, costs),
        alone=cost_tables.are_alone(costs),
        phases=cost_tables.phase_rows(results, costs),
        energy=[cost_tables.energy_note(costs, study.get("energy"), energy.died), *cost_tables.totals(costs, energy, grid_g_per_kwh)],
        rows=tables.row_table(design, results),
        names=short_names(design.factors),
        picked_by=picked_by(results),
        failed=results[results["status"] == "failed"].to_dict("records"),
        provenance=provenance,
        figures={figure.name: _embedded(directory, figure) for figure in figures},
    )
    write_atomically(directory / "report.html", page)
    return directory / "report.html"


def answer_context(
    design: Design, results: pd.DataFrame, mains: Effects, pairs: Effects, compared: Sequence[Group], quantum: bool, beside: bool
) -> dict[str, Any]:
    """Return the variables of `answers.html.j2` and `remarks.html.j2`; `beside`: whether published numbers belong beside the study's."""
    representation = next((factor for factor in design.factors if factor.path == REPRESENTATION), None)
    noun = nouns(quantum)
    return {
        "answers": answers(design, mains, pairs, compared, gains(results, representation), screen(results), noun),
        "limits": limits(results, mains, curvature(design, results)),
        "mains": mains,
        "has_baselines": bool(results["row"].isna().any()),
        "nouns": noun,
        "setfit": published.SETFIT_GAP if beside else None,
        "encoder": published.ENCODER,
    }


def template(name: str) -> jinja2.Template:
    """Return a template of this folder."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    words = (count, name_of, p_text, percent, points, signed, signed_plus_minus)
    environment.globals.update({function.__name__: function for function in words})
    return environment.get_template(name)


def _embedded(directory: Path, figure: ReportFigure) -> dict[str, str]:
    data = base64.b64encode((directory / f"{figure.name}.png").read_bytes()).decode()
    return {"source": f"data:image/png;base64,{data}", "caption": figure.caption}
