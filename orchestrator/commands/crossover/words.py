"""The findings in words: every assumption behind a number, and what the numbers say, for and against the quantum head.

Owns sentences, units and names. Does not own any number, nor layout.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hadamard.orchestrator.commands.crossover.cell import LOGISTIC
from hadamard.orchestrator.commands.crossover.findings import Against, Curve, Findings, Modelled, holds, measured_gates, more_shots
from hadamard.orchestrator.commands.crossover.fit import DOMINATED, LEVEL
from hadamard.orchestrator.commands.crossover.measured import BATCH
from hadamard.orchestrator.commands.crossover.models import qpu_j, qpu_s
from hadamard.orchestrator.formats import NONE, bytes_in_words, count, duration, joules, listed

WH = 3600.0
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


@dataclass(frozen=True)
class Answer:
    """One finding: a question, its answer, and what it rests on."""

    question: str
    text: str
    detail: str
    tone: str = ""
    """`up` or `down`: in favour of the quantum head or against it."""


def energy(value: float | None) -> str:
    """Return joules with a prefix, down to nanojoules; a dash where they are not known."""
    return NONE if value is None else joules(value)


def seconds(value: float) -> str:
    """Return seconds in the unit people would use, down to nanoseconds."""
    return duration(value) if value >= 1 else _small(value)


def size(qubits: float | None) -> str:
    """Return a crossover, with one digit."""
    return "none" if qubits is None else f"{qubits:.1f}"


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


def assumptions(found: Findings) -> list[str]:
    """Return all that the crossovers rest on: every input of every scenario, what is counted, and how simulators were measured."""
    return [*(_inputs_in_words(name, one) for name, one in found.modelled.items()), COUNTED, *_measurement(found)]


COUNTED = (
    "counted: the second module for one sentence; every CNOT (n2) and RY (n1) as written, those that encode data included, one after the "
    "other on the QPU; on GPUs, reading and writing the state, and as many of them as hold it, without exchange between them. Not counted: "
    "the encoder, which is simulated either way; loading amplitudes; transpiling, calibration, failed runs, the host, cooling"
)


def _inputs_in_words(name: str, one: Modelled) -> str:
    values = {field: value_of(field, getattr(one.inputs, field)) for field in INPUTS}
    module = one.scenario.second_module
    layers = f"{module.block_layers}-layer blocks, {module.last_layers}-layer PQC 2"
    return (
        f"{name} ({one.scenario.about}): QPU of {values['qpu_power_w']}, {values['shots']} shots, t2 {values['two_qubit_gate_s']}, "
        f"t1 {values['one_qubit_gate_s']}, t_ov {values['shot_overhead_s']}; n2 = {values['two_qubit_gates']} Q, "
        f"n1 = {values['one_qubit_gates']} Q (C = {module.connectivity}, N = {module.reuploads}, {layers}); "
        f"GPU of {values['gpu_power_w']}, {values['bandwidth_bytes_s']}, {values['amplitude_bytes']} bytes per amplitude, "
        f"f = {values['gates_per_pass']} fused into a memory pass"
    )


def _measurement(found: Findings) -> Iterator[str]:
    measured = found.measured
    two, one = measured_gates()
    rows = [point.rows for curve in found.curves for point in curve.points]
    windows = [window.window_s for curve in found.curves for point in curve.points if (window := point.second_module) is not None]
    if not windows:
        yield "measured: no simulator"
        return
    yield (
        f"measured: {measured.machine['processor']}, {count(measured.threads, 'thread')}; second module with n2 = {two:g} Q, "
        f"n1 = {one:g} Q (C = 2, N = 2); CPU seconds of the median pass over {min(rows)} to {max(rows)} sentences, divided by these; "
        f"windows of {min(windows):.3g} to {max(windows):.3g} s"
    )
    fitted = [f"{curve.name} {curve.seconds_fit.sizes[0]} to {curve.seconds_fit.sizes[-1]}" for curve in found.curves if curve.seconds_fit]
    if fitted:
        yield (
            f"lines: log2 of seconds per gate against qubits, where a gate takes at least {DOMINATED:g} times its least "
            f"({'; '.join(fitted)} qubits); bands: where a further measurement would lie with {100 * LEVEL:.0f} % probability, if lines "
            "hold; dotted: exact doubling of a gate's cost with each qubit beyond the largest measured, as must be once no cache holds a "
            "state; lines are steeper where states outgrow caches on the way, so dotted is the better guess beyond"
        )
    yield f"simulators' joules: {joules_known(found)}"


def joules_known(found: Findings) -> str:
    """Return how the simulators' joules are known, or why they are not and how to have them."""
    if found.measured.metered and found.how is None:
        return f"not measured: what is counted, {found.measured.meter}, is not what these simulators used"
    if found.measured.metered:
        return f"{found.how}, {found.measured.meter}, all that these devices used in the window"
    if found.watts is not None:
        return f"modelled, CPU seconds x {found.watts:g} W of a busy core (stated, not measured)"
    return f"not measured: {found.measured.why_no_meter}; state the watts of a busy core by --watts to have them modelled"


def answers(found: Findings) -> list[Answer]:
    """Return what was found, the crossovers first."""
    return [_crossovers(found), *_price(found), *_memory(found), *_errors(found), *_encoder(found), *_faster(found)]


def _crossovers(found: Findings) -> Answer:
    parts = [f"{size(one.crossover)} qubits ({name})" for name, one in found.modelled.items()]
    return Answer(
        "From how many qubits on does a QPU take less energy than a simulation on GPUs?",
        f"{listed(parts)}.",
        "By both models; each factor of two in power, shots, bandwidth, bytes or fused gates moves it by one qubit.",
    )


def _price(found: Findings) -> Iterator[Answer]:
    name, one = next(iter(found.modelled.items()))
    if one.crossover is None:
        return
    inputs, at = one.inputs, one.crossover
    taken_j, taken_s = qpu_j(inputs, at), qpu_s(inputs, at)
    beside = []
    if found.logistic_j is not None:
        beside.append(
            f"a {LOGISTIC} on the embedding {energy(found.logistic_j)} ({found.how}), {taken_j / found.logistic_j:.0e} times less"
        )
    elif found.measured.logistic is not None:
        cpu_s = found.measured.logistic.cpu_s
        beside.append(f"a {LOGISTIC} on the embedding {seconds(cpu_s)} of one core, {taken_s / cpu_s:.0e} times less time")
    encoder = f"{seconds(found.encoder_s)} of one core" if found.encoder_j is None else f"{energy(found.encoder_j)} ({found.how})"
    beside.append(f"the sentence encoder {encoder}")
    yield Answer(
        "What does one sentence take there?",
        f"{energy(taken_j)} ({taken_j / WH / 1e3:.2g} kWh) and {duration(taken_s)} on the QPU ({name}), as much energy on GPUs; "
        f"{', and '.join(beside)}.",
        f"The classical head is measured on this machine, {count(BATCH, 'sentence')} at a time, and needs no qubits. The sentence encoder "
        f"(all-MiniLM-L6-v2, {1 / found.encoder_s:.0f} sentences per second and core; larger ones take longer) comes before either head.",
        "down",
    )


def _memory(found: Findings) -> Iterator[Answer]:
    parts = []
    for one in found.modelled.values():
        if one.crossover is None:
            continue
        gpu = one.scenario.gpu
        state = gpu.amplitude_bytes * 2.0**one.crossover
        held = f"one of which holds {int(holds(gpu.memory_bytes, gpu.amplitude_bytes))} qubits"
        needs = math.ceil(state / gpu.memory_bytes)
        parts.append(f"a state of {one.crossover:.1f} qubits is {bytes_in_words(state)}, the memory of {needs:,} GPUs, {held}")
    if parts:
        yield Answer(
            "Is there a machine that could simulate it there?",
            _sentence(parts),
            "Beyond one GPU the model leaves out what they send to each other, so simulation is dearer than drawn there.",
        )


def _errors(found: Findings) -> Iterator[Answer]:
    parts, fidelities = [], []
    for name, one in found.modelled.items():
        if one.crossover is None or one.without_error is None:
            continue
        parts.append(
            f"a run has no error with probability {100 * one.without_error:.0f} % ({name}); if the others say nothing, the same precision "
            f"takes {more_shots(one.scenario, one.crossover):.3g} times the shots, and the crossover is at {size(one.with_errors)} qubits"
        )
        qpu = one.scenario.qpu
        fidelities.append(
            f"Fidelities {100 * qpu.two_qubit_fidelity:g} % (two qubits), {100 * qpu.one_qubit_fidelity:g} % (one), "
            f"{100 * qpu.readout_fidelity:g} % (preparing and reading the measured qubit)"
        )
    if parts:
        yield Answer(
            "Do gates as good as stated give an answer there?",
            _sentence(parts),
            f"{'; '.join(dict.fromkeys(fidelities))}. Not part of the crossovers above.",
            "down",
        )


def _encoder(found: Findings) -> Iterator[Answer]:
    ours, _ = _pair(found)
    point = None if ours is None else ours.points[-1]
    if ours is not None and point is not None and point.head is not None and point.second_module is not None:
        share = point.second_module.cpu_s / point.head.cpu_s
        yield Answer(
            "What part of the head could a QPU take over?",
            f"The second module: {100 * share:.0f} % of an inference's seconds ({ours.name}, {point.qubits} qubits).",
            "The encoder is simulated, exactly, either way, on a state as large as that of the second module: beyond the crossover the "
            "whole head goes on doubling with each qubit.",
            "down",
        )


def _faster(found: Findings) -> Iterator[Answer]:
    """What our faster simulator does to either crossover."""
    ours, peer = _pair(found)
    if ours is None or peer is None:
        return
    size_of_both = max(set(ours.sizes) & set(peer.sizes), default=0)
    if not size_of_both:
        return
    times = peer.seconds[peer.sizes.index(size_of_both)] / ours.seconds[ours.sizes.index(size_of_both)]
    moved = [f"{name}: {both}" for name in found.modelled if (both := _both(found, name, ours, peer))]
    yield Answer(
        f"What does a faster simulator do to it ({ours.name} against {peer.name})?",
        f"At {size_of_both} qubits {ours.name} takes {times:.3g} times less time for the second module on one thread"
        + f", which moves any crossover by {math.log2(times):.1f} qubits where a gate's cost doubles with each qubit."
        + (f" Crossover of the same QPU, in qubits: {'; '.join(moved)}." if moved else ""),
        "By exact doubling from the largest size on, and in brackets by the line through what was measured (its band is in the table). "
        f"Joules {joules_known(found)}. One core is not a GPU: the watts of what does the work count as much as its speed. Both ways of "
        "going on beyond the sizes measured pass the memory of this machine.",
    )


def _pair(found: Findings) -> tuple[Curve | None, Curve | None]:
    """Return our first simulator's curve and the peer's."""
    ours = next((curve for curve in found.curves if not curve.points[0].simulator.startswith("lightning")), None)
    return ours, next((curve for curve in found.curves if curve.points[0].simulator.startswith("lightning")), None)


def _both(found: Findings, scenario: str, ours: Curve, peer: Curve) -> str:
    lines = {one.simulator: one for one in found.against if one.scenario == scenario}
    return " and ".join(f"{_between(lines[curve.name])} against {curve.name}" for curve in (ours, peer) if curve.name in lines)


def _between(one: Against) -> str:
    """Return where a crossover is by exact doubling, and where by the fitted line."""
    return f"{size(one.doubling)} ({size(one.at)})"


def _sentence(parts: Sequence[str]) -> str:
    return ". ".join(f"{part[0].upper()}{part[1:]}" for part in parts) + "."


def _small(seconds: float) -> str:
    for scale, unit in ((1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.2g} s"


def with_prefix(value: float, unit: str) -> str:
    """Return a power of 1000 with its prefix, for an axis."""
    return f"1 {'fpnum kMGTPE'[round(math.log10(value) / 3) + 5].strip()}{unit}"
