"""The report's tables, as rows of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hadamard.orchestrator.analysis.comparisons import MEAN_ROW, PICKED, Comparison, best_by_validation, picking_column
from hadamard.orchestrator.analysis.effects import Effects
from hadamard.orchestrator.analysis.inference import Interval
from hadamard.orchestrator.analysis.mcnemar import McNemarOverSplits
from hadamard.orchestrator.design.design import Design
from hadamard.orchestrator.design.factors import Factor, level_label, levels_text, short_names
from hadamard.orchestrator.formats import NONE, count, listed, p_value, percent, signed
from hadamard.orchestrator.report.arms import WORDS, arm_means, picked_by, ranking_column
from hadamard.orchestrator.report.disagreements import in_words

ERROR_TERMS = {
    "residual": "The error term of the intervals is what the model of main effects and splits leaves unexplained",
    "trials": "The error term of the intervals is the noise of trials within rows, because interactions cannot shift these main effects",
    "rows": "The error term of the intervals is how far rows lie off the main effects, because interactions could shift them",
    "lenth": "The error term of the intervals is the smallest effects (Lenth's pseudo standard error), for lack of rows or trials",
    "none": "There are no intervals, because too few trials have finished to measure noise, or because they do not differ at all",
}


def tiles(results: pd.DataFrame, effects: Effects) -> list[tuple[str, str, str]]:
    """Return the page's few large numbers: what, value, and a remark."""
    arms = arm_means(results)
    rows, baselines = arms[~arms["baseline"]], arms[arms["baseline"]]
    done = int((results["status"] == "done").sum())
    largest = max(effects.effects, key=lambda effect: abs(effect.estimate), default=None)
    shown = [("Trials done", f"{done}", f"of {len(results)}")]
    if largest is not None:
        remark = f"{largest.label}, {largest.change}" + {"hint": " (a hint)", "noise": " (within noise)", "unknown": " (no interval)"}.get(
            largest.verdict, ""
        )
        shown.append(("Largest effect", f"{signed(largest.estimate)} points", remark))
    best = best_by_validation(results)
    if best is not None:
        shown.append(
            (f"Row picked by {picked_by(results)}", percent(float(rows.set_index("arm").loc[best, "mean"])), f"{best}, mean test accuracy")
        )
    if len(baselines):
        column = ranking_column(baselines)
        top = baselines.sort_values(column, ascending=False, kind="stable").iloc[0]
        shown.append((f"Baseline picked by {WORDS[column]}", percent(float(top["mean"])), f"{top['arm']}, mean test accuracy"))
    return shown


def outline(study: Mapping[str, str], design: Design, results: pd.DataFrame) -> str:
    """Return what was run, in a line."""
    arms = results.loc[results["row"].isna(), "arm"].nunique()
    parts = [
        f"{count(len(design.rows), 'row')} of {listed(short_names(design.factors))}",
        count(arms, "baseline") if arms else "no baselines",
        count(results["split"].nunique(), "split"),
        study.get("data", study.get("corpus", "")).partition(";")[0],
        study.get("sentence encoder", ""),
    ]
    return " · ".join(part for part in parts if part)


def glance(study: Mapping[str, str], design: Design, results: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the study at a glance: settings as given, then the design in numbers."""
    arms = results.loc[results["row"].isna(), "arm"].unique()
    lines = {name.replace("_", " "): value for name, value in study.items() if name not in ("name", "energy")} | {
        "design": f"{design.kind.replace('_', ' ')}: {count(len(design.rows), 'row')}, {count(len(design.factors), 'factor')}",
        "splits": f"{results['split'].nunique()}, the same for every row and baseline",
        "baselines": ", ".join(sorted(map(str, arms))) or "none",
    }
    return list(lines.items())


def factor_rows(design: Design) -> list[tuple[str, str, str]]:
    """Return each factor's short name, dotted path and levels."""
    return [(name, factor.path, levels_text(factor)) for name, factor in zip(short_names(design.factors), design.factors, strict=True)]


def effect_rows(effects: Effects) -> list[dict[str, str]]:
    """Return a line per effect, largest first, in percentage points."""
    return [
        {
            "label": effect.label,
            "change": effect.change,
            "estimate": signed(effect.estimate, 2),
            "se": NONE if effect.standard_error is None else f"{100 * effect.standard_error:.2f}",
            "alone": _interval(effect.interval),
            "together": _interval(effect.simultaneous),
            "p": p_value(effect.p),
            "adjusted": p_value(effect.simultaneous_p),
            "verdict": NONE if effect.verdict == "unknown" else effect.verdict,
        }
        for effect in sorted(effects.effects, key=lambda effect: -abs(effect.estimate))
    ]


def test_rows(design: Design, effects: Effects) -> list[tuple[str, str, str, str]]:
    """Return factor, degrees of freedom, F and p of each factor's test, where some factor has more than two unordered levels."""
    names = short_names(design.factors)
    if all(test.df[0] == 1 for test in effects.tests):
        return []
    return [(names[test.factors[0]], f"{test.df[0]}, {test.df[1]:g}", f"{test.f:.2f}", p_value(test.p)) for test in effects.tests]


def comparison_row(comparison: Comparison, by: str, sentences: McNemarOverSplits | None) -> dict[str, str]:
    """Return one line of the table of paired differences.

    Args:
        comparison: an arm minus a baseline.
        by: what rows are picked by, in words.
        sentences: McNemar's test of the two, if it is known.
    """
    verdict = NONE if comparison.simultaneous is None else "not told apart"
    if comparison.stands_out or comparison.is_hint:
        verdict = ("better" if comparison.mean > 0 else "worse") + ("" if comparison.stands_out else ", a hint")
    return {
        "arm": comparison.arm if comparison.arm in (MEAN_ROW, PICKED) else f"{comparison.arm}, best by {by}",
        "baseline": comparison.baseline,
        "splits": str(len(comparison.by_split)),
        "difference": signed(comparison.mean, 2),
        "alone": _interval(comparison.interval),
        "together": _interval(comparison.simultaneous),
        "bootstrap": _interval(comparison.bootstrap),
        "sentences": in_words(sentences) or NONE,
        "verdict": verdict,
        "note": comparison.note or "",
    }


def row_table(design: Design, results: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a line per row of the design and per baseline: settings real and coded, trials done, accuracies, parameters.

    `picking` is the accuracy that rows are picked by; baselines may lack it.
    """
    arms, column = arm_means(results).set_index("arm"), picking_column(results)
    best = best_by_validation(results)
    settings = {
        row.name: [(level_label(f, c), coded_text(f, c)) for f, c in zip(design.factors, row.coded, strict=True)] for row in design.rows
    }
    names = [*settings, *sorted(results.loc[results["row"].isna(), "arm"].unique())]
    lines = []
    for name in names:
        line: dict[str, Any] = {
            "name": name,
            "settings": settings.get(name),
            "best": name == best,
            "trials": f"0 of {(results['arm'] == name).sum()}",
        }
        line |= {"picking": NONE, "test": NONE, "parameters": NONE}
        if name in arms.index:
            arm = arms.loc[name]
            line["trials"] = f"{arm['done']} of {(results['arm'] == name).sum()}"
            line["picking"] = NONE if pd.isna(arm[column]) else percent(float(arm[column]))
            line["test"] = percent(float(arm["mean"])) + ("" if pd.isna(arm["sd"]) else f" ± {100 * arm['sd']:.1f}")
            line["parameters"] = NONE if pd.isna(arm["parameters"]) else f"{int(arm['parameters']):,}"
        lines.append(line)
    return lines


def coded_text(factor: Factor, coded: float) -> str:
    """Return a coded level to two decimals; nothing for unordered levels, which have no code but their place in the list."""
    if factor.is_unordered:
        return ""
    return "0" if abs(coded) < 0.005 else f"{round(coded, 2):+g}".replace("-", "−")


def _interval(interval: Interval | None) -> str:
    return NONE if interval is None else f"{signed(interval[0], 2)} to {signed(interval[1], 2)}"
