"""The report's tables, as rows of text ready to be shown.

Owns which columns a table has and how numbers are written. Does not own the numbers, the page or its pictures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from cluster.energy.meters import SHORTEST_WINDOW_S
from orchestrator.analysis.comparisons import MEAN_ROW, PICKED, Comparison, best_by_validation, picking_column
from orchestrator.analysis.effects import Effects, main_effects
from orchestrator.analysis.inference import Interval
from orchestrator.analysis.mcnemar import McNemarOverSplits
from orchestrator.design.design import Design
from orchestrator.design.factors import Factor, level_label, levels_text, short_names
from orchestrator.report.arms import WORDS, arm_means, picked_by, ranking_column
from orchestrator.report.disagreements import in_words
from orchestrator.report.formats import NONE, count, duration, joules, listed, p_value, percent, signed

NOT_MEASURED = "not measured"
COSTS = {"train_s": "Training time", "energy_j": "Energy"}
YARDSTICKS = {
    "residual": "The yardstick of the intervals is what the model of main effects and splits leaves unexplained",
    "trials": "The yardstick of the intervals is the noise of trials within rows, because interactions cannot shift these main effects",
    "rows": "The yardstick of the intervals is how far rows lie off the main effects, because interactions could shift them",
    "lenth": "The yardstick of the intervals is the smallest effects (Lenth's pseudo standard error), for lack of rows or trials",
    "none": "There are no intervals, because too few trials have finished to measure noise, or because they do not differ at all",
}


def tiles(results: pd.DataFrame, effects: Effects) -> list[tuple[str, str, str]]:
    """Return the page's few large numbers: what, value, and a remark."""
    arms = arm_means(results)
    rows, baselines = arms[~arms["baseline"]], arms[arms["baseline"]]
    done = int((results["status"] == "done").sum())
    largest = max(effects.effects, key=lambda effect: abs(effect.estimate), default=None)
    found = [("Trials done", f"{done}", f"of {len(results)}")]
    if largest is not None:
        remark = f"{largest.label}, {largest.change}" + {"hint": " (a hint)", "noise": " (within noise)", "unknown": " (no interval)"}.get(
            largest.verdict, ""
        )
        found.append(("Largest effect", f"{signed(largest.estimate)} points", remark))
    best = best_by_validation(results)
    if best is not None:
        found.append(
            (f"Row picked by {picked_by(results)}", percent(float(rows.set_index("arm").loc[best, "mean"])), f"{best}, mean test accuracy")
        )
    if len(baselines):
        column = ranking_column(baselines)
        top = baselines.sort_values(column, ascending=False, kind="stable").iloc[0]
        found.append((f"Baseline picked by {WORDS[column]}", percent(float(top["mean"])), f"{top['arm']}, mean test accuracy"))
    return found


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


def cost_rows(results: pd.DataFrame, costs: pd.DataFrame) -> list[dict[str, str]]:
    """Return what a trial of the design and of each baseline costs, medians and sums of what was measured; last, what all of them do."""
    table = results.merge(costs, on="key", how="left")
    table["group"] = table["arm"].where(table["row"].isna(), "rows of the design")
    order = ["rows of the design", *sorted(table.loc[table["row"].isna(), "arm"].unique())]
    found = []
    for name in order:
        group = table[table["group"] == name]
        if len(group):
            line = {
                "group": str(name),
                "trials": str(int((group["status"] == "done").sum())),
                "attempts": f"{group['attempts'].sum()}",
            }
            line |= {title: _summed(group, column) for column, title in COSTS.items()}
            found.append(line)
    if len(costs) > len(results):
        every = costs.assign(status=["done"] * len(costs))
        line = {"group": "all trials, with folds and candidates not chosen", "trials": NONE, "attempts": f"{costs['attempts'].sum()}"}
        found.append(line | {title: _summed(every[every["attempts"] > 0], column) for column, title in COSTS.items()})
    return found


def cost_effects(design: Design, results: pd.DataFrame, costs: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return heading and lines of a table of effects on time and energy, as ratios high over low; no lines where nothing was measured."""
    table = results.merge(costs, on="key", how="left")
    measured = [name for name in COSTS if (table[name].notna() & table["row"].notna()).any()]
    found = {name: main_effects(design, table, name, log=True) for name in measured}
    shown: dict[tuple[str, str], dict[str, str]] = {}
    for name, effects in found.items():
        for effect in effects.effects:
            text = f"× {math.exp(effect.estimate):.3g}"
            if effect.interval is not None:
                text += f" ({math.exp(effect.interval[0]):.3g} to {math.exp(effect.interval[1]):.3g})"
            shown.setdefault((effect.label, effect.change), {})[name] = text
    lines = [[label, change, *(texts.get(name, NONE) for name in measured)] for (label, change), texts in shown.items()]
    return ["Factor", "Change", *(COSTS[name] for name in measured)], lines


def energy_note(costs: pd.DataFrame, reason: str | None = None) -> str:
    """Return for how many trials energy was measured, how, and how many of the numbers are doubtful; `reason` says why some are missing."""
    started = costs[costs["attempts"] > 0]
    if started.empty:
        return "Nothing has been run yet."
    measured = started[started["energy_j"].notna()]
    why = reason or "no meter wrote a reading to the journals"
    if measured.empty:
        return f"Energy was not measured: {why}."
    how = sorted({f"{scope}, {method}" for scope, method in zip(measured["energy_scope"], measured["energy_method"], strict=True)})
    text = f"Energy was measured for {len(measured)} of {count(len(started), 'trial')} that started ({'; '.join(how)})"
    text += "." if len(measured) == len(started) else f"; for the rest it was not: {why}."
    short = int((measured["energy_window_s"] < SHORTEST_WINDOW_S).sum())
    if not short:
        return text
    which = "All of these numbers come" if short == len(measured) else f"{short} of these numbers {'comes' if short == 1 else 'come'}"
    return f"{text} {which} from windows shorter than {SHORTEST_WINDOW_S:g} s, in which meters say little."


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
    found = []
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
        found.append(line)
    return found


def coded_text(factor: Factor, coded: float) -> str:
    """Return a coded level to two decimals; nothing for unordered levels, which have no code but their place in the list."""
    if factor.is_unordered:
        return ""
    return "0" if abs(coded) < 0.005 else f"{round(coded, 2):+g}".replace("-", "−")


def _summed(group: pd.DataFrame, column: str) -> str:
    values = group[column].dropna()
    if values.empty:
        return NOT_MEASURED
    write = joules if column == "energy_j" else duration
    partly = "" if len(values) >= (group["status"] == "done").sum() else f", measured for {len(values)}"
    return f"{write(float(values.median()))} each, {write(float(values.sum()))} in all{partly}"


def _interval(interval: Interval | None) -> str:
    return NONE if interval is None else f"{signed(interval[0], 2)} to {signed(interval[1], 2)}"
