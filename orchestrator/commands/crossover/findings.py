"""What follows from scenarios and measurements: crossovers of the models and of the measured simulators, and what stands beside them.

Owns putting both sides together, and which joules count. Does not own models, measurements or wording.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hadamard.model.errors import UserError
from hadamard.orchestrator.commands.bench.cases import circuits
from hadamard.orchestrator.commands.crossover.cell import Window
from hadamard.orchestrator.commands.crossover.fit import Fit, fit
from hadamard.orchestrator.commands.crossover.measured import Measured, Point
from hadamard.orchestrator.commands.crossover.models import Inputs, crossing, crossover, gpu_j, qpu_j
from hadamard.orchestrator.commands.crossover.scenarios import Scenario, gates_per_qubit
from hadamard.orchestrator.commands.crossover.sensitivity import Shift, shifts
from hadamard.orchestrator.planning.cost_model import CHARACTERS
from hadamard.orchestrator.planning.machine_rates import DEFAULTS

ENCODER_S = CHARACTERS / DEFAULTS.characters_per_core_s
"""Seconds of one 2.3 GHz server core for a sentence's embedding by all-MiniLM-L6-v2; a larger encoder takes longer."""


@dataclass(frozen=True)
class Modelled:
    """A scenario's own crossover, by both models.

    Attributes:
        crossover: Qubits; None where there is none.
        shifts: What moves it.
        with_errors: The crossover if a QPU whose gates fail took as many shots more as give the same error of <Z>.
        without_error: At the crossover, the probability that a run has no error.
    """

    scenario: Scenario
    inputs: Inputs
    crossover: float | None
    shifts: list[Shift]
    with_errors: float | None
    without_error: float | None


@dataclass(frozen=True)
class Curve:
    """A measured simulator: the second module for one sentence, by qubits.

    Attributes:
        points: That have numbers.
        seconds: Of CPU, or by the clock where a GPU did it.
        joules: None where they are not known.
        seconds_fit: None where work dominates at too few sizes.
        joules_fit: Likewise, or joules are not known.
    """

    name: str
    points: tuple[Point, ...]
    seconds: tuple[float, ...]
    joules: tuple[float, ...] | None
    seconds_fit: Fit | None
    joules_fit: Fit | None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Qubits of the points."""
        return tuple(point.qubits for point in self.points)

    def doubling_s(self, qubits: float) -> float:
        """Return the seconds if from the largest size that was measured a gate takes exactly twice as long with every further qubit."""
        return self._doubling(self.seconds[-1], qubits)

    def doubling_j(self, qubits: float) -> float:
        """Return likewise the joules, which have to be known."""
        assert self.joules is not None
        return self._doubling(self.joules[-1], qubits)

    def _doubling(self, last: float, qubits: float) -> float:
        return last * qubits / self.sizes[-1] * math.exp2(qubits - self.sizes[-1])

    @property
    def alone(self) -> bool:
        """Whether it was given one sentence at a time; no line goes through such points, which are as others where states are large."""
        return self.points[0].alone


@dataclass(frozen=True)
class Against:
    """A scenario's QPU, on the circuit that was measured, against a simulator.

    Attributes:
        at: Crossover with the fitted line, in qubits; None where there is none.
        earliest: With the upper edge of its band.
        latest: With the lower edge.
        doubling: If a gate's cost doubles exactly with every qubit beyond those measured, as it must once no cache holds a state: lines
            are steeper where states outgrow caches on the way.
    """

    scenario: str
    simulator: str
    at: float | None
    earliest: float | None
    latest: float | None
    doubling: float | None


@dataclass(frozen=True)
class Findings:
    """Everything that is shown.

    Attributes:
        watts: Stated, of a busy core; None where none were stated.
        against: Empty where the simulators' joules are not known.
        logistic_j: Of the classical head; None where not known.
        encoder_s: Of the sentence encoder on a core.
        encoder_j: None where not known.
    """

    modelled: Mapping[str, Modelled]
    measured: Measured
    watts: float | None
    curves: tuple[Curve, ...]
    against: tuple[Against, ...]
    logistic_j: float | None
    encoder_s: float
    encoder_j: float | None

    @property
    def how(self) -> str | None:
        """How the simulators' joules are known: `measured`, `replayed`, `modelled`, or not at all."""
        if self.measured.metered:
            came_by = "replayed" if str(self.measured.meter).startswith("by replay") else "measured"
            return came_by if any(curve.joules for curve in self.curves) else None
        return "modelled" if self.watts is not None else None


def findings(scenarios: Mapping[str, Scenario], measured: Measured, watts: float | None) -> Findings:
    """Return all that follows.

    Args:
        scenarios: By name.
        measured: The simulators.
        watts: Of a busy core, to model joules by where none were measured.

    Raises:
        UserError: Joules were measured, and watts are stated.
    """
    if measured.metered and watts is not None:
        raise UserError(
            f"joules were measured here ({measured.meter}); modelled ones beside them would be mixed up with them: leave out --watts"
        )
    curves = tuple(_curve(name, points, measured, watts) for name, points in measured.series())
    return Findings(
        {name: _modelled(scenario) for name, scenario in scenarios.items()},
        measured,
        watts,
        curves,
        tuple(_against(name, scenario, curve) for name, scenario in scenarios.items() for curve in curves if curve.joules_fit),
        None if measured.logistic is None else _joules(measured.logistic, measured, watts, on_gpu=False),
        ENCODER_S,
        None if watts is None else watts * ENCODER_S,
    )


def measured_gates() -> tuple[float, float]:
    """Return the gates on two qubits and on one, for each qubit, of the second module that is measured."""
    return gates_per_qubit(circuits(12)[1])


def holds(memory_bytes: float, amplitude_bytes: float) -> float:
    """Return how many qubits a state can have that fills so much memory, not rounded."""
    return math.log2(memory_bytes / amplitude_bytes)


def _modelled(scenario: Scenario) -> Modelled:
    inputs = scenario.inputs
    at = crossover(inputs)
    with_errors = crossing(lambda qubits: gpu_j(inputs, qubits), lambda qubits: qpu_j(inputs, qubits) * more_shots(scenario, qubits))
    return Modelled(scenario, inputs, at, shifts(inputs), with_errors, None if at is None else scenario.without_error(at))


def more_shots(scenario: Scenario, qubits: float) -> float:
    """Return how many times the shots give the same error of <Z> if a run with any error says nothing, so that <Z> shrinks by F."""
    return scenario.without_error(qubits) ** -2


def _curve(name: str, points: Sequence[Point], measured: Measured, watts: float | None) -> Curve:
    gates, sizes = sum(measured_gates()), [point.qubits for point in points]
    windows = [(point, point.second_module) for point in points if point.second_module is not None]
    seconds = tuple(window.wall_s if point.on_gpu else window.cpu_s for point, window in windows)
    joules = [_joules(window, measured, watts, point.on_gpu) for point, window in windows]
    known = tuple(value for value in joules if value is not None)
    known_joules = known if len(known) == len(sizes) else None
    if points[0].alone:
        return Curve(name, tuple(points), seconds, known_joules, None, None)
    return Curve(name, tuple(points), seconds, known_joules, fit(sizes, seconds, gates), fit(sizes, known, gates) if known_joules else None)


def _joules(window: Window, measured: Measured, watts: float | None, on_gpu: bool) -> float | None:
    """Return the joules of one sentence: of counters, else of stated watts, which say nothing of a GPU."""
    if measured.metered:
        return window.joules
    return None if watts is None or on_gpu else watts * window.cpu_s


def _against(name: str, scenario: Scenario, curve: Curve) -> Against:
    two, one = measured_gates()
    inputs, line = replace(scenario.inputs, two_qubit_gates=two, one_qubit_gates=one), curve.joules_fit
    assert line is not None
    ways = (line.value, line.high, line.low, curve.doubling_j)
    return Against(name, curve.name, *(crossing(way, lambda qubits: qpu_j(inputs, qubits)) for way in ways))
