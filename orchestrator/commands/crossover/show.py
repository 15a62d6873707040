"""The findings as text and as JSON.

Owns layout. Does not own any number or sentence.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hadamard.orchestrator.commands.crossover import words
from hadamard.orchestrator.commands.crossover.findings import Findings
from hadamard.orchestrator.commands.crossover.fit import Fit
from hadamard.orchestrator.commands.crossover.models import ENERGY, gpu_j, qpu_j
from hadamard.orchestrator.formats import NONE

WIDTH = 140
EXTRAPOLATED = (34, 46)
"""Qubits at which lines are read off, for the table."""
Rows = list[tuple[str, ...]]


def as_text(found: Findings, files: Iterable[Path]) -> str:
    """Return all tables, with the answers above them and the assumptions below."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=WIDTH, highlight=False, markup=False)
    for answer in words.answers(found):
        console.print(f"{answer.question}\n  {answer.text}", soft_wrap=True)
    for title, headings, rows in tables(found):
        table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left", title_style="")
        for heading in headings:
            table.add_column(heading, justify="left" if heading in (headings[0], "") else "right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        console.print()
        console.print(table)
    console.print(f"\nmodels: {'; '.join(ENERGY)}", soft_wrap=True)
    for line in words.assumptions(found):
        console.print(line, soft_wrap=True)
    for why in unmeasured(found):
        console.print(why, soft_wrap=True)
    for path in files:
        console.print(f"written: {path}", soft_wrap=True)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def as_json(found: Findings, files: Iterable[Path]) -> str:
    """Return everything as JSON; what is not known is null."""
    content: dict[str, Any] = {
        "models": ENERGY,
        "scenarios": {
            name: {
                "about": one.scenario.about,
                "inputs": asdict(one.inputs),
                "crossover_qubits": one.crossover,
                "crossover_qubits_with_errors": one.with_errors,
                "without_error": one.without_error,
                "shifts": [asdict(shift) for shift in one.shifts],
            }
            for name, one in found.modelled.items()
        },
        "joules": words.joules_known(found),
        "watts": found.watts,
        "against": [asdict(one) for one in found.against],
        "simulators": [
            {
                "name": curve.name,
                "qubits": curve.sizes,
                "seconds": curve.seconds,
                "joules": curve.joules,
                "seconds_fit": curve.seconds_fit and asdict(curve.seconds_fit),
            }
            for curve in found.curves
        ],
        "logistic_j": found.logistic_j,
        "sentence_encoder_s": found.encoder_s,
        "sentence_encoder_j": found.encoder_j,
        "assumptions": words.assumptions(found),
        "measured": found.measured.model_dump(mode="json"),
        "files": [str(path) for path in files],
    }
    return json.dumps(content, indent=1) + "\n"


def tables(found: Findings) -> list[tuple[str, Sequence[str], Rows]]:
    """Return title, headings and rows of every table."""
    names = list(found.modelled)
    against: Rows = [
        (one.simulator, one.scenario, *map(words.size, (one.at, one.earliest, one.latest, one.doubling))) for one in found.against
    ]
    found_tables: list[tuple[str, Sequence[str], Rows]] = [
        ("Inputs and crossover", ("", *names), _inputs(found)),
        (
            "What moves the crossover, in qubits",
            ("input", *(f"{name}: {how}" for name in names for how in ("halved", "doubled"))),
            _shifts(found),
        ),
        (
            f"Measured, one sentence; joules {found.how or 'not measured'}",
            ("simulator", "qubits", "at once", "whole head", "second module", "joules of it", "passes", "window"),
            _points(found),
        ),
    ]
    if lines := _lines(found):
        heads = ("simulator", "fitted on", "for one qubit more", *(f"{size} qubits" for size in EXTRAPOLATED))
        found_tables.append(("Lines through measured seconds of the second module, with their bands", heads, lines))
    if against:
        heads = ("simulator", "QPU", "crossover by the line", "earliest", "latest", "by exact doubling")
        found_tables.append((f"The same QPU, on the circuit that was measured, against simulators ({found.how} joules)", heads, against))
    return found_tables


def unmeasured(found: Findings) -> list[str]:
    """Return why a simulator has no numbers where it has none."""
    return [
        f"{point.simulator} at {point.qubits} qubits, {point.rows} at once: {point.why}" for point in found.measured.points if point.why
    ]


def _inputs(found: Findings) -> Rows:
    every = list(found.modelled.values())
    rows = [(label, *(words.value_of(name, getattr(one.inputs, name)) for one in every)) for name, label in words.INPUTS.items()]
    at = [one.crossover for one in every]
    return [
        *rows,
        ("crossover, qubits", *map(words.size, at)),
        ("energy there, QPU", *(NONE if x is None else words.energy(qpu_j(one.inputs, x)) for x, one in zip(at, every, strict=True))),
        ("energy there, GPUs", *(NONE if x is None else words.energy(gpu_j(one.inputs, x)) for x, one in zip(at, every, strict=True))),
        ("run without error there", *(NONE if one.without_error is None else f"{100 * one.without_error:.0f} %" for one in every)),
        ("crossover with more shots for errors", *(words.size(one.with_errors) for one in every)),
    ]


def _shifts(found: Findings) -> Rows:
    by_name = [{shift.name: shift for shift in one.shifts} for one in found.modelled.values()]
    order = [shift.name for shift in next(iter(found.modelled.values())).shifts] or list(words.INPUTS)
    return [
        (words.INPUTS[name], *(_moved(getattr(shifts.get(name), way, None)) for shifts in by_name for way in ("halved", "doubled")))
        for name in order
    ]


def _lines(found: Findings) -> Rows:
    def band(line: Fit, qubits: int) -> str:
        low, value, high = (words.seconds(edge(qubits)) for edge in (line.low, line.value, line.high))
        return f"{value} ({low} to {high})"

    return [
        (
            curve.name,
            f"{line.sizes[0]} to {line.sizes[-1]} qubits",
            f"x {2**line.slope:.2f} a gate",
            *(band(line, size) for size in EXTRAPOLATED),
        )
        for curve in found.curves
        if (line := curve.seconds_fit) is not None
    ]


def _moved(qubits: float | None) -> str:
    return NONE if qubits is None else f"{qubits:+.2f}".replace("-", "−")


def _points(found: Findings) -> Rows:
    rows: Rows = []
    for curve in found.curves:
        for place, (point, taken) in enumerate(zip(curve.points, curve.seconds, strict=True)):
            head, module = point.head, point.second_module
            if head is None or module is None:
                continue
            whole = taken / module.cpu_s * head.cpu_s if taken == module.cpu_s else head.wall_s
            joules = None if curve.joules is None else curve.joules[place]
            numbers = (words.seconds(whole), words.seconds(taken), words.energy(joules), f"{module.passes:,}", f"{module.window_s:.1f} s")
            rows.append((curve.name if place == 0 else "", str(point.qubits), str(point.rows), *numbers))
    if (logistic := found.measured.logistic) is not None:
        numbers = (words.seconds(logistic.cpu_s), "", words.energy(found.logistic_j), f"{logistic.passes:,}", f"{logistic.window_s:.1f} s")
        rows.append(("logistic regression", "", "16", *numbers))
    rows.append(("sentence encoder", "", "", words.seconds(found.encoder_s), "", words.energy(found.encoder_j), "", ""))
    return rows
