"""What `hadamard energy` finds: crossovers of the models and of the measured simulators, and what stands beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from hadamard.model.errors import UserError
from hadamard.model.settings import Settings
from hadamard.orchestrator.commands.crossover.fit import Fit, fit
from hadamard.orchestrator.commands.crossover.measured import Measured, Point
from hadamard.orchestrator.commands.crossover.models import ENERGY, Inputs, Shift, crossing, crossover, gpu_j, qpu_j, qpu_s, shifts
from hadamard.orchestrator.commands.crossover.scenarios import Scenario, gates_per_qubit
from hadamard.orchestrator.commands.crossover.windows import Window
from hadamard.orchestrator.commands.render import Result
from hadamard.orchestrator.planning.cost_model import CHARACTERS
from hadamard.orchestrator.planning.machine_rates import DEFAULTS
from hadamard.orchestrator.timing.paper_head import circuits

ENCODER_S = CHARACTERS / DEFAULTS.characters_per_core_s
"""Seconds of one 2.3 GHz server core for a sentence's embedding by all-MiniLM-L6-v2; a larger encoder takes longer."""
TWO_QUBIT_GATES, ONE_QUBIT_GATES = gates_per_qubit(circuits(12)[1])
"""For each qubit, of the second module that is measured."""


class Modelled(Settings):
    """A scenario's crossover by both models, and what it is like there; None where there is none."""

    scenario: Scenario
    inputs: Inputs
    crossover_qubits: float | None
    qpu_j: float | None
    """Energy of one inference at the crossover, on either side."""
    qpu_s: float | None
    state_bytes: float | None
    """Of the simulation's state there."""
    without_error: float | None
    """The probability that a run there has no error."""
    more_shots: float | None
    """How many times the shots give the same error of <Z> there, if a run with an error says nothing."""
    crossover_qubits_with_errors: float | None
    """If the QPU takes as many shots more, at each size."""
    shifts: tuple[Shift, ...]
    """What halving and doubling an input does to the crossover, the largest first."""


class Curve(Settings):
    """A measured simulator: the second module for one sentence, by qubits."""

    name: str
    points: tuple[Point, ...]
    """That have numbers."""
    seconds: tuple[float, ...]
    """Of CPU, or by the clock where a GPU did it."""
    joules: tuple[float, ...] | None
    """None where they are not known."""
    seconds_fit: Fit | None
    """None where work dominates at too few sizes, or it was given one sentence at a time: large states are as in batches."""
    joules_fit: Fit | None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Qubits of the points."""
        return tuple(point.qubits for point in self.points)

    def doubling(self, values: Sequence[float], qubits: float) -> float:
        """Return a value if beyond the largest size that was measured a gate takes exactly twice as much with every further qubit."""
        return values[-1] * qubits / self.sizes[-1] * math.exp2(qubits - self.sizes[-1])


class Against(Settings):
    """Where a scenario's QPU, on the circuit that was measured, crosses a simulator, in qubits; None where it does not."""

    scenario: str
    simulator: str
    line: float | None
    """With the fitted line."""
    earliest: float | None
    """With the upper edge of its band."""
    latest: float | None
    """With the lower edge."""
    doubling: float | None
    """If a gate's cost doubles exactly with every qubit beyond those measured, as it must once no cache holds a state: lines are steeper
    where states outgrow caches on the way."""


class EnergyResult(Result):
    """Everything that is shown."""

    models: tuple[str, str] = ENERGY
    scenarios: dict[str, Modelled]
    joules: Literal["measured", "replayed", "modelled"] | None
    """How the simulators' joules are known; None: not at all."""
    watts: float | None
    """Stated, of a busy core; None where none were stated."""
    curves: tuple[Curve, ...]
    against: tuple[Against, ...]
    """Empty where the simulators' joules are not known."""
    logistic_j: float | None
    """Of the classical head; None where not known."""
    sentence_encoder_s: float
    """Of one core."""
    sentence_encoder_j: float | None
    measured: Measured
    file: Path | None = None
    """Where the measurements are saved."""


def energy_result(scenarios: Mapping[str, Scenario], measured: Measured, watts: float | None) -> EnergyResult:
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
    return EnergyResult(
        scenarios={name: _modelled(scenario) for name, scenario in scenarios.items()},
        joules=_how_known(measured, curves, watts),
        watts=watts,
        curves=curves,
        against=tuple(_against(name, scenario, curve) for name, scenario in scenarios.items() for curve in curves if curve.joules_fit),
        logistic_j=None if measured.logistic is None else _joules(measured.logistic, measured, watts, on_gpu=False),
        sentence_encoder_s=ENCODER_S,
        sentence_encoder_j=None if watts is None else watts * ENCODER_S,
        measured=measured,
    )


def _how_known(measured: Measured, curves: Sequence[Curve], watts: float | None) -> Literal["measured", "replayed", "modelled"] | None:
    if measured.meter is None:
        return None if watts is None else "modelled"
    if not any(curve.joules for curve in curves):
        return None
    return "replayed" if measured.meter.startswith("by replay") else "measured"


def _modelled(scenario: Scenario) -> Modelled:
    inputs = scenario.inputs
    at = crossover(inputs)
    with_errors = crossing(lambda qubits: gpu_j(inputs, qubits), lambda qubits: qpu_j(inputs, qubits) * scenario.more_shots(qubits))
    return Modelled(
        scenario=scenario,
        inputs=inputs,
        crossover_qubits=at,
        qpu_j=None if at is None else qpu_j(inputs, at),
        qpu_s=None if at is None else qpu_s(inputs, at),
        state_bytes=None if at is None else inputs.amplitude_bytes * math.exp2(at),
        without_error=None if at is None else scenario.without_error(at),
        more_shots=None if at is None else scenario.more_shots(at),
        crossover_qubits_with_errors=with_errors,
        shifts=tuple(shifts(inputs)),
    )


def _curve(name: str, points: Sequence[Point], measured: Measured, watts: float | None) -> Curve:
    windows = [(point, point.second_module) for point in points if point.second_module is not None]
    seconds = tuple(window.wall_s if point.on_gpu else window.cpu_s for point, window in windows)
    known = [value for point, window in windows if (value := _joules(window, measured, watts, point.on_gpu)) is not None]
    joules = tuple(known) if len(known) == len(points) else None

    def line(values: Sequence[float] | None) -> Fit | None:
        sizes, gates = [point.qubits for point in points], TWO_QUBIT_GATES + ONE_QUBIT_GATES
        return None if values is None or points[0].alone else fit(sizes, values, gates)

    return Curve(name=name, points=tuple(points), seconds=seconds, joules=joules, seconds_fit=line(seconds), joules_fit=line(joules))


def _joules(window: Window, measured: Measured, watts: float | None, on_gpu: bool) -> float | None:
    """Return the joules of one sentence: of counters, else of stated watts, which say nothing of a GPU."""
    if measured.metered:
        return window.joules
    return None if watts is None or on_gpu else watts * window.cpu_s


def _against(name: str, scenario: Scenario, curve: Curve) -> Against:
    inputs = scenario.inputs.model_copy(update={"two_qubit_gates": TWO_QUBIT_GATES, "one_qubit_gates": ONE_QUBIT_GATES})
    line, joules = curve.joules_fit, curve.joules
    assert line is not None
    assert joules is not None
    ways = {"line": line.value, "earliest": line.high, "latest": line.low, "doubling": lambda qubits: curve.doubling(joules, qubits)}
    at = {way: crossing(simulation_j, lambda qubits: qpu_j(inputs, qubits)) for way, simulation_j in ways.items()}
    return Against(scenario=name, simulator=curve.name, **at)
