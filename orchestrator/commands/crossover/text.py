"""The result of `hadamard energy` as text."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.table import Table

from hadamard.orchestrator import formats
from hadamard.orchestrator.commands.crossover.fit import Fit
from hadamard.orchestrator.commands.crossover.models import Shift
from hadamard.orchestrator.commands.crossover.result import EnergyResult, Modelled
from hadamard.orchestrator.formats import NONE, bytes_in_words, duration

WIDTH = 140
EXTRAPOLATED = (34, 46)
"""Qubits at which lines are read off."""
INPUTS = {
    "qpu_power_w": "QPU: power P",
    "shots": "shots S",
    "two_qubit_gate_s": "two-qubit gate t2",
    "one_qubit_gate_s": "one-qubit gate t1",
    "shot_overhead_s": "overhead of a shot t_ov",
    "two_qubit_gates": "two-qubit gates n2 / Q",
    "one_qubit_gates": "one-qubit gates n1 / Q",
    "gpu_power_w": "GPU: power P_GPU",
    "bandwidth_bytes_s": "memory bandwidth BW",
    "amplitude_bytes": "bytes of an amplitude b",
    "gates_per_pass": "gates per memory pass f",
}
"""The fields of `Inputs`, as they are called for people, with the letters of the models."""
COUNTED = (
    "Counted: the second module for one sentence; every CNOT (n2) and RY (n1) as written, those that encode data included, one after the "
    "other on the QPU; on GPUs, reading and writing the state, and as many of them as hold it, without exchange between them. Not counted: "
    "the encoder, which is simulated either way; loading amplitudes; transpiling, calibration, failed runs, the host, cooling."
)
MEASURED = (
    "Measured: seconds of CPU (of a GPU: by the clock) of the median pass over a batch, divided by its sentences. Lines: log2 of the "
    "seconds per gate against qubits, where work dominates, with the 95 % interval of a further measurement. Exact doubling: of a gate's "
    "cost with each qubit beyond the largest measured, as must be once no cache holds a state."
)


def as_text(result: EnergyResult) -> str:
    """Return the crossovers, all tables, and what they rest on."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=WIDTH, highlight=False, markup=False)
    crossovers = [f"{size(one.crossover_qubits)} qubits ({name})" for name, one in result.scenarios.items()]
    console.print(f"By both models a QPU takes less energy than GPUs from {formats.listed(crossovers)}.", soft_wrap=True)
    tables = (_models(result), _shifts(result), _points(result), _lines(result), _against(result))
    for table in (table for table in tables if table.row_count):
        console.print()
        console.print(table)
    reasons = (f"{point.simulator} at {point.qubits} qubits, {point.rows} at once: {point.why}" for point in result.measured.points)
    notes = ["", f"Models: {'; '.join(result.models)}.", COUNTED, MEASURED, f"Simulators' joules: {joules_known(result)}."]
    for line in (*notes, *(reason for reason in reasons if not reason.endswith(": "))):
        console.print(line, soft_wrap=True)
    if result.file:
        console.print(f"measurements: {result.file}", soft_wrap=True)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def joules_known(result: EnergyResult) -> str:
    """Return how the simulators' joules are known, or why they are not and how to have them."""
    measured = result.measured
    if measured.metered and result.joules is None:
        return f"not measured: what is counted, {measured.meter}, is not what these simulators used"
    if measured.metered:
        return f"{result.joules}, {measured.meter}, all that these devices used in the window"
    if result.watts is not None:
        return f"modelled, CPU seconds x {result.watts:g} W of a busy core (stated, not measured)"
    return f"not measured: {measured.why_no_meter}; state the watts of a busy core by --watts to have them modelled"


def value_of(name: str, value: float) -> str:
    """Return an input's value with its unit."""
    match name:
        case "qpu_power_w" | "gpu_power_w":
            return f"{value / 1e3:g} kW" if value >= 1000 else f"{value:g} W"
        case "bandwidth_bytes_s":
            return f"{value / 1e12:g} TB/s"
        case _ if name.endswith("_s"):
            return f"{value * 1e3:g} ms" if value >= 1e-3 else f"{value * 1e6:g} us"
        case _:
            return f"{value:,g}" if value < 1e6 else f"{value:,.0f}"


def size(qubits: float | None) -> str:
    """Return a crossover, with one digit."""
    return "none" if qubits is None else f"{qubits:.1f}"


def _models(result: EnergyResult) -> Table:
    def row(label: str, cell: Callable[[Modelled], str]) -> None:
        table.add_row(label, *map(cell, result.scenarios.values()))

    def value(name: str) -> Callable[[Modelled], str]:
        return lambda one: value_of(name, getattr(one.inputs, name))

    table = _table("Inputs and crossover", "", *result.scenarios)
    for name, label in INPUTS.items():
        row(label, value(name))
    row("crossover, qubits", lambda one: size(one.crossover_qubits))
    row("energy there, on either side", lambda one: _joules(one.qpu_j))
    row("time on the QPU there", lambda one: _or_none(one.qpu_s, duration))
    row("state there", lambda one: _or_none(one.state_bytes, bytes_in_words))
    row("GPUs whose memory holds it", lambda one: _or_none(one.state_bytes, lambda b: f"{math.ceil(b / one.scenario.gpu.memory_bytes):,}"))
    row("run without error there", lambda one: _or_none(one.without_error, lambda p: f"{100 * p:.0f} %"))
    row("shots, if the others say nothing", lambda one: _or_none(one.more_shots, lambda times: f"x {times:.3g}"))
    row("crossover with such shots", lambda one: size(one.crossover_qubits_with_errors))
    return table


def _shifts(result: EnergyResult) -> Table:
    heads = [f"{name}: {way}" for name in result.scenarios for way in ("halved", "doubled")]
    table = _table("What moves the crossover, in qubits", "input", *heads)
    columns = [{shift.name: shift for shift in one.shifts} for one in result.scenarios.values()]
    for name in next(iter(columns)) or INPUTS:
        table.add_row(INPUTS[name], *(cell for shifts in columns for cell in _moved(shifts.get(name))))
    return table


def _moved(shift: Shift | None) -> Iterator[str]:
    for qubits in (None, None) if shift is None else (shift.halved, shift.doubled):
        yield _or_none(qubits, lambda moved: f"{moved:+.2f}")


def _points(result: EnergyResult) -> Table:
    heads = ("simulator", "qubits", "at once", "whole head", "second module", "joules of it", "passes", "window")
    table = _table(f"Measured on {result.measured.machine.processor}, one sentence; joules {result.joules or 'not measured'}", *heads)
    for curve in result.curves:
        for place, point in enumerate(curve.points):
            head, module = point.head, point.second_module
            assert head is not None
            assert module is not None
            whole = head.wall_s if point.on_gpu else head.cpu_s
            taken_j = None if curve.joules is None else curve.joules[place]
            numbers = (seconds(whole), seconds(curve.seconds[place]), _joules(taken_j), f"{module.passes:,}", f"{module.window_s:.1f} s")
            table.add_row(curve.name if place == 0 else "", str(point.qubits), str(point.rows), *numbers)
    if (logistic := result.measured.logistic) is not None:
        numbers = (seconds(logistic.cpu_s), "", _joules(result.logistic_j), f"{logistic.passes:,}", f"{logistic.window_s:.1f} s")
        table.add_row("logistic regression", "", "16", *numbers)
    table.add_row("sentence encoder", "", "", seconds(result.sentence_encoder_s), "", _joules(result.sentence_encoder_j), "", "")
    return table


def _lines(result: EnergyResult) -> Table:
    heads = ("simulator", "fitted on", "for one qubit more", *(f"{qubits} qubits" for qubits in EXTRAPOLATED))
    table = _table("Lines through measured seconds of the second module, with their bands", *heads)

    def band(line: Fit, qubits: int) -> str:
        low, value, high = (seconds(edge(qubits)) for edge in (line.low, line.value, line.high))
        return f"{value} ({low} to {high})"

    for curve in result.curves:
        if (line := curve.seconds_fit) is not None:
            sizes, steepness = f"{line.sizes[0]} to {line.sizes[-1]} qubits", f"x {2**line.slope:.2f} a gate"
            table.add_row(curve.name, sizes, steepness, *(band(line, qubits) for qubits in EXTRAPOLATED))
    return table


def _against(result: EnergyResult) -> Table:
    heads = ("simulator", "QPU", "crossover by the line", "earliest", "latest", "by exact doubling")
    table = _table(f"The same QPU, on the circuit that was measured, against simulators ({result.joules} joules)", *heads)
    for one in result.against:
        table.add_row(one.simulator, one.scenario, *map(size, (one.line, one.earliest, one.latest, one.doubling)))
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left", title_style="")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == headings[0] else "right", no_wrap=True)
    return table


def seconds(value: float) -> str:
    """Return seconds in the unit people would use, down to nanoseconds."""
    for scale, unit in ((1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")):
        if scale <= value < 1000 * scale:
            return f"{value / scale:.3g} {unit}"
    return duration(value)


def _joules(value: float | None) -> str:
    return _or_none(value, formats.joules)


def _or_none(value: float | None, words: Callable[[float], str]) -> str:
    return NONE if value is None else words(value)
