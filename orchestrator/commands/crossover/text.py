"""The result of `hadamard energy` as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from hadamard.orchestrator import formats
from hadamard.orchestrator.commands.crossover.fit import Fit
from hadamard.orchestrator.commands.crossover.measured import BATCH
from hadamard.orchestrator.commands.crossover.models import Shift
from hadamard.orchestrator.commands.crossover.result import EnergyResult, Modelled
from hadamard.orchestrator.commands.crossover.windows import Window
from hadamard.orchestrator.commands.render import table
from hadamard.orchestrator.formats import NONE, bytes_in_words, duration

Titled: TypeAlias = tuple[str, Sequence[str], Sequence[tuple[str, ...]]]
"""A table: title, headings, rows."""
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


def text(result: EnergyResult) -> Iterator[str]:
    """Yield the crossovers, all tables, and what they rest on."""
    crossovers = [f"{size(modelled.crossover_qubits)} qubits ({name})" for name, modelled in result.scenarios.items()]
    yield f"By both models a QPU takes less energy than GPUs from {formats.listed(crossovers)}."
    for title, headings, rows in (_models(result), _shifts(result), _points(result), _lines(result), _against(result)):
        if rows:
            yield from ("", title, *table(headings, rows, texts=1))
    yield ""
    yield f"Models: {'; '.join(result.models)}."
    yield from (COUNTED, MEASURED, f"Simulators' joules: {joules_known(result)}.")
    yield from (
        f"{point.simulator} at {point.qubits} qubits, {point.rows} at once: {point.why}" for point in result.measured.points if point.why
    )
    yield f"measurements: {result.file}"


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


def _models(result: EnergyResult) -> Titled:
    there: dict[str, Callable[[Modelled], str]] = {
        "crossover, qubits": lambda modelled: size(modelled.crossover_qubits),
        "energy there, on either side": lambda modelled: _joules(modelled.qpu_j),
        "time on the QPU there": lambda modelled: _or_none(modelled.qpu_s, duration),
        "state there": lambda modelled: _or_none(modelled.state_bytes, bytes_in_words),
        "GPUs whose memory holds it": lambda modelled: _or_none(
            modelled.state_bytes, lambda size_bytes: f"{math.ceil(size_bytes / modelled.scenario.gpu.memory_bytes):,}"
        ),
        "run without error there": lambda modelled: _or_none(modelled.without_error, lambda probability: f"{100 * probability:.0f} %"),
        "shots, if the others say nothing": lambda modelled: _or_none(modelled.more_shots, lambda times: f"x {times:.3g}"),
        "crossover with such shots": lambda modelled: size(modelled.crossover_qubits_with_errors),
    }
    every = result.scenarios.values()
    rows = [(label, *(value_of(name, getattr(modelled.inputs, name)) for modelled in every)) for name, label in INPUTS.items()]
    return "Inputs and crossover", ("", *result.scenarios), [*rows, *((label, *map(cell, every)) for label, cell in there.items())]


def _shifts(result: EnergyResult) -> Titled:
    headings = ("input", *(f"{name}: {way}" for name in result.scenarios for way in ("halved", "doubled")))
    columns = [{shift.name: shift for shift in modelled.shifts} for modelled in result.scenarios.values()]
    rows = [(INPUTS[name], *(cell for shifts in columns for cell in _moved(shifts.get(name)))) for name in next(iter(columns)) or INPUTS]
    return "What moves the crossover, in qubits", headings, rows


def _moved(shift: Shift | None) -> Iterator[str]:
    for qubits in (None, None) if shift is None else (shift.halved, shift.doubled):
        yield _or_none(qubits, lambda moved: f"{moved:+.2f}")


def _points(result: EnergyResult) -> Titled:
    def taken(head_s: float, module_s: float | None, joules: float | None, of: Window | None) -> tuple[str, ...]:
        window = ("", "") if of is None else (f"{of.passes:,}", f"{of.window_s:.1f} s")
        return seconds(head_s), _or_none(module_s, seconds), _joules(joules), *window

    rows: list[tuple[str, ...]] = []
    for curve in result.curves:
        joules = curve.joules or (None,) * len(curve.points)
        for point, module_s, module_j in zip(curve.points, curve.seconds, joules, strict=True):
            assert point.head is not None
            head_s = point.head.wall_s if point.on_gpu else point.head.cpu_s
            rows.append((curve.name, str(point.qubits), str(point.rows), *taken(head_s, module_s, module_j, point.second_module)))
    if (logistic := result.measured.logistic) is not None:
        rows.append(("logistic regression", NONE, str(BATCH), *taken(logistic.cpu_s, None, result.logistic_j, logistic)))
    rows.append(("sentence encoder", NONE, "", *taken(result.sentence_encoder_s, None, result.sentence_encoder_j, None)))
    title = f"Measured on {result.measured.machine.processor}, one sentence; joules {result.joules or 'not measured'}"
    return title, ("", "qubits", "at once", "whole head", "second module", "joules of it", "passes", "window"), rows


def _lines(result: EnergyResult) -> Titled:
    def band(line: Fit, qubits: int) -> str:
        low, value, high = (seconds(edge(qubits)) for edge in (line.low, line.value, line.high))
        return f"{value} ({low} to {high})"

    lines = [(curve.name, curve.seconds_fit) for curve in result.curves if curve.seconds_fit is not None]
    rows = [
        (name, f"{line.sizes[0]} to {line.sizes[-1]}", f"x {2**line.slope:.2f} a gate", *(band(line, qubits) for qubits in EXTRAPOLATED))
        for name, line in lines
    ]
    headings = ("", "fitted on, qubits", "for one qubit more", *(f"{qubits} qubits" for qubits in EXTRAPOLATED))
    return "Lines through measured seconds of the second module, with their bands", headings, rows


def _against(result: EnergyResult) -> Titled:
    rows = [
        (against.simulator, against.scenario, *map(size, (against.line, against.earliest, against.latest, against.doubling)))
        for against in result.against
    ]
    title = f"The same QPU, on the circuit that was measured, against simulators ({result.joules} joules)"
    return title, ("", "QPU", "crossover by the line", "earliest", "latest", "by exact doubling"), rows


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
