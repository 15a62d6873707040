"""The report's tables of what accuracy costs: seconds and joules, by arm, by phase, by factor and by node."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from hadamard.cluster.energy.base import METHOD_WORDS, SHORTEST_WINDOW_S
from hadamard.orchestrator.analysis.effects import main_effects
from hadamard.orchestrator.design.design import Design
from hadamard.orchestrator.energy.attribution import ALL_PHASES, StudyEnergy
from hadamard.orchestrator.formats import NONE, count, duration, joules, listed

NOT_MEASURED = "not measured"
COSTS = {"train_s": "Training time", "energy_j": "Energy"}
EACH = {
    "net_energy_j": "Net",
    **{f"{phase}_j": phase.capitalize() for phase in ALL_PHASES},
    "inference_j_per_sentence": "Per sentence classified",
    "j_per_point": "Per point above guessing",
}
"""Columns of joules that are shown for a median trial."""


def cost_rows(results: pd.DataFrame, costs: pd.DataFrame) -> list[dict[str, str]]:
    """Return what a trial of the design and of each baseline costs, medians and sums of what was measured; last, what all of them do."""
    table = results.merge(costs, on="key", how="left")
    table["group"] = table["arm"].where(table["row"].isna(), "rows of the design")
    order = ["rows of the design", *sorted(table.loc[table["row"].isna(), "arm"].unique())]
    lines = []
    for name in order:
        group = table[table["group"] == name]
        if len(group):
            line = {
                "group": str(name),
                "trials": str(int((group["status"] == "done").sum())),
                "attempts": f"{group['attempts'].sum()}",
            }
            line |= {title: _summed(group, column) for column, title in COSTS.items()}
            lines.append(line)
    if len(costs) > len(results):
        every = costs.assign(status=["done"] * len(costs))
        line = {"group": "all trials, with folds and candidates not chosen", "trials": NONE, "attempts": f"{costs['attempts'].sum()}"}
        lines.append(line | {title: _summed(every[every["attempts"] > 0], column) for column, title in COSTS.items()})
    return lines


def cost_effects(design: Design, results: pd.DataFrame, costs: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return heading and lines of a table of effects on time and energy, as ratios high over low; no lines where nothing was measured.

    Nodes are blocks: they differ in speed, and hot ones draw more. Only where each trial had a pack of its own do ratios have intervals:
    those of a pack share its seconds and joules, which are one observation, not many.
    """
    table = results.merge(costs, on="key", how="left")
    alone = are_alone(costs)
    measured = [name for name in COSTS if (table[name].notna() & table["row"].notna()).any()]
    by_cost = {name: main_effects(design, table, name, log=True, node="host") for name in measured}
    shown: dict[tuple[str, str], dict[str, str]] = {}
    for name, effects in by_cost.items():
        for effect in effects.effects:
            text = f"× {math.exp(effect.estimate):.3g}"
            if effect.interval is not None and alone:
                text += f" ({math.exp(effect.interval[0]):.3g} to {math.exp(effect.interval[1]):.3g})"
            shown.setdefault((effect.label, effect.change), {})[name] = text
    lines = [[label, change, *(texts.get(name, NONE) for name in measured)] for (label, change), texts in shown.items()]
    return ["Factor", "Change", *(COSTS[name] for name in measured)], lines


def are_alone(costs: pd.DataFrame) -> bool:
    """Whether no trial shared its process with another one."""
    return bool(costs["pack"].notna().all() and not costs["pack"].duplicated().any())


def phase_rows(results: pd.DataFrame, costs: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return heading and lines of a table of joules by arm: of its median trial, and by phase; no lines where nothing was measured."""
    table = results[results["status"] == "done"].merge(costs, on="key", how="left")
    measured = [column for column in ("energy_j", *EACH) if column in table and table[column].notna().any()]
    lines = []
    for arm, group in table.groupby("arm", sort=True):
        medians = {column: group[column].median() for column in measured}
        if not pd.isna(medians.get("energy_j", math.nan)):
            lines.append([str(arm), *(NONE if pd.isna(value) else joules(float(value)) for value in medians.values())])
    return ["Arm", *({"energy_j": "Gross", **EACH}[column] for column in measured)], lines


def totals(costs: pd.DataFrame, energy: StudyEnergy, grid_g_per_kwh: float | None) -> list[str]:
    """Return what all trials and the embeddings took together, and each node, in sentences; none where nothing was measured."""
    known = costs["energy_j"].dropna()
    if known.empty:
        return []
    kwh = float(known.sum()) / 3.6e6
    grams = "" if grid_g_per_kwh is None else f", {grid_g_per_kwh * kwh:.3g} g of CO2 at {grid_g_per_kwh:g} g per kWh"
    lines = [f"All trials of which it is known: {joules(float(known.sum()))}, which is {kwh:.3g} kWh{grams}."]
    if energy.embedded:
        took = NOT_MEASURED if energy.embeddings_j is None else joules(energy.embeddings_j)
        lines.append(f"Embeddings of {count(energy.embedded, 'sentence')}, computed once for all: {took}.")
    by_node = ", ".join(f"{host} {NOT_MEASURED if energy_j is None else joules(energy_j)}" for host, energy_j in energy.nodes_j.items())
    return [*lines, f"By node, while its devices were held: {by_node}.", *energy.checked]


def energy_origin(costs: pd.DataFrame) -> str:
    """Return in a word where joules come from: what is modelled or replayed is nowhere called measured."""
    methods = {str(method).partition(",")[0] for method in costs["energy_method"].dropna()}
    return listed([word for method, word in METHOD_WORDS.items() if method in methods] or ["measured"])


def energy_note(costs: pd.DataFrame, reason: str | None = None, died: Sequence[str] = ()) -> str:
    """Return for how many trials energy was measured, how, and how many of the numbers are doubtful.

    Args:
        costs: as `costs_table` makes it.
        reason: why some are missing, if that is known beforehand.
        died: what is to be said of meters that could not be read to the end.
    """
    started = costs[costs["attempts"] > 0]
    if started.empty:
        return "Nothing has been run yet."
    measured = started[started["energy_j"].notna()]
    why = "; ".join(died) or reason or "no meter ran in all of their attempts"
    if measured.empty:
        return f"Energy was not measured: {why}."
    how = sorted({f"{scope}, {method}" for scope, method in zip(measured["energy_scope"], measured["energy_method"], strict=True)})
    text = f"Energy was {energy_origin(costs)} for {len(measured)} of {count(len(started), 'trial')} that started ({'; '.join(how)})"
    text += "." if len(measured) == len(started) else f"; for the rest it was not: {why}."
    short = int((measured["energy_window_s"] < SHORTEST_WINDOW_S).sum())
    if not short:
        return text
    which = "All of these numbers come" if short == len(measured) else f"{short} of these numbers {'comes' if short == 1 else 'come'}"
    return f"{text} {which} from windows shorter than {SHORTEST_WINDOW_S:g} s, in which meters say little."


def _summed(group: pd.DataFrame, column: str) -> str:
    values = group[column].dropna()
    if values.empty:
        return NOT_MEASURED
    write = joules if column == "energy_j" else duration
    partly = "" if len(values) >= (group["status"] == "done").sum() else f", measured for {len(values)}"
    return f"{write(float(values.median()))} each, {write(float(values.sum()))} in all{partly}"
