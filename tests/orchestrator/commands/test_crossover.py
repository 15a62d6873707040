"""Inference energy: the models at the inputs of paper.md, gates counted in circuits, windows, fits, and what `hadamard energy` shows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from typer.testing import CliRunner

from hadamard.cluster.energy.base import Counter, MeterError
from hadamard.cluster.energy.choice import stated_core_w
from hadamard.model.errors import UserError
from hadamard.orchestrator.cli import app
from hadamard.orchestrator.commands.crossover import measured
from hadamard.orchestrator.commands.crossover.fit import fit
from hadamard.orchestrator.commands.crossover.inference import CLASSICAL, SIMULATOR, Inference, InferenceRequest, by_simulator, measure
from hadamard.orchestrator.commands.crossover.measured import Measured, Point, measure_all, read_measured, rows_at
from hadamard.orchestrator.commands.crossover.models import Inputs, crossing, crossover, gpu_j, qpu_j, shifts
from hadamard.orchestrator.commands.crossover.result import ONE_QUBIT_GATES, TWO_QUBIT_GATES, EnergyResult, energy_result
from hadamard.orchestrator.commands.crossover.scenarios import SecondModule, gates_per_qubit, read_scenarios
from hadamard.orchestrator.commands.crossover.text import INPUTS, joules_known, value_of
from hadamard.orchestrator.commands.crossover.verb import Request, energy
from hadamard.orchestrator.commands.crossover.windows import Window, counting_meter, window
from hadamard.orchestrator.timing.comparison import Contestant
from hadamard.orchestrator.timing.machine import Machine
from hadamard.orchestrator.timing.paper_head import paper_head, second_module
from hadamard.orchestrator.timing.simulators import prepare_reference
from tests.conftest import ROOT

SCENARIOS = ROOT / "configs" / "energy" / "qpu.yaml"
PAPER = Inputs(
    qpu_power_w=10e3,
    shots=4096,
    two_qubit_gate_s=900e-6,
    one_qubit_gate_s=110e-6,
    shot_overhead_s=2e-3,
    two_qubit_gates=8,
    one_qubit_gates=13,
    gpu_power_w=700,
    bandwidth_bytes_s=3.35e12,
    amplitude_bytes=8,
    gates_per_pass=15,
)
"""As paper.md states them, with the gates of the second module: C = 2, N = 2."""


def changed(inputs: Inputs, **values: float) -> Inputs:
    return inputs.model_copy(update=values)


FOLLOW_UP = changed(PAPER, qpu_power_w=3e3, shots=100, amplitude_bytes=16, gates_per_pass=1, two_qubit_gates=4, one_qubit_gates=9)
"""Likewise, with C = 1."""
SIZES = (4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24)


def taken(seconds: float, joules: float | None = None) -> Window:
    return Window(cpu_s=seconds, wall_s=2 * seconds, passes=5, window_s=10.5, joules=joules)


def points(name: str, call_s: float, amplitude_s: float, joules_w: float | None = None) -> Iterator[Point]:
    """Yield a simulator whose gate takes so long, and so long for each amplitude."""
    for qubits in SIZES:
        seconds = 21 * qubits * (call_s + amplitude_s * 2**qubits)
        joules = None if joules_w is None else joules_w * seconds
        head, module = taken(2 * seconds, joules), taken(seconds, joules)
        yield Point(simulator=name, qubits=qubits, rows=16, alone=False, head=head, second_module=module)


def on_this_machine(watts: float | None = None) -> Measured:
    """Return what could have been measured; with counters that read this many watts, or without any."""
    return Measured(
        machine=Machine(processor="Abacus", cores=1, system="Linux", python="3.11", versions={}),
        memory_bytes=2**34,
        threads=1,
        meter=None if watts is None else "cpu: packages 0",
        why_no_meter="" if watts is not None else "no counter on an abacus",
        points=(*points("compiled", 1e-7, 1e-10, watts), *points("lightning.qubit", 1e-5, 1e-9, watts)),
        logistic=taken(1e-7, None if watts is None else watts * 1e-7),
    )


def result(watts: float | None = None, metered_w: float | None = None) -> EnergyResult:
    return energy_result(read_scenarios(SCENARIOS), on_this_machine(metered_w), watts)


def test_the_inputs_of_the_paper_and_of_its_follow_up_give_their_crossovers() -> None:
    at = [crossover(PAPER), crossover(FOLLOW_UP)]
    assert [None if one is None else round(one, 1) for one in at] == [46.1, 33.9]
    for inputs, qubits in zip((PAPER, FOLLOW_UP), at, strict=True):
        assert qubits is not None
        assert gpu_j(inputs, qubits) == pytest.approx(qpu_j(inputs, qubits), rel=1e-8)
    stated = read_scenarios(SCENARIOS)
    assert {name: one.inputs for name, one in stated.items()} == {"paper": PAPER, "follow-up": FOLLOW_UP}


def test_with_the_same_gates_the_two_estimates_are_twelve_qubits_apart() -> None:
    """What changes is 4096 = 2^12 in all, so that 46.1 and 33.9 need one more input to differ: docs/crossover.md says which we take."""
    first, second = crossover(PAPER), crossover(changed(FOLLOW_UP, two_qubit_gates=8, one_qubit_gates=13))
    assert first is not None
    assert second is not None
    assert first - second == pytest.approx(12, abs=0.01)
    assert round(second, 1) == 34.1


def test_the_crossover_is_the_closed_form_where_there_is_no_overhead() -> None:
    inputs = changed(PAPER, shot_overhead_s=0)
    gate_s = (8 * 900e-6 + 13 * 110e-6) / 21
    amplitude_j = 700 / 3.35e12 * 2 * 8 / 15
    assert crossover(inputs) == pytest.approx(math.log2(10e3 * 4096 * gate_s / amplitude_j), abs=1e-6)


def test_no_crossover_where_one_side_always_takes_less() -> None:
    assert crossover(changed(PAPER, qpu_power_w=1e40)) is None
    assert crossover(changed(PAPER, qpu_power_w=1e-40)) is None
    assert crossing(lambda qubits: 2**qubits, lambda qubits: 8.0) == pytest.approx(3)
    assert shifts(changed(PAPER, qpu_power_w=1e40)) == []


def test_every_factor_of_two_moves_the_crossover_by_one_qubit_at_most() -> None:
    moved = {shift.name: shift for shift in shifts(PAPER)}
    assert set(moved) == set(Inputs.model_fields) == set(INPUTS)
    for name, sign in {
        "qpu_power_w": 1,
        "shots": 1,
        "bandwidth_bytes_s": 1,
        "gates_per_pass": 1,
        "gpu_power_w": -1,
        "amplitude_bytes": -1,
    }.items():
        halved, doubled = moved[name].halved, moved[name].doubled
        assert (halved, doubled) == (pytest.approx(-sign, abs=1e-3), pytest.approx(sign, abs=1e-3)), name
    assert all(shift.size <= 1 for shift in moved.values())
    assert [shift.size for shift in shifts(PAPER)] == sorted((shift.size for shift in moved.values()), reverse=True)


@pytest.mark.parametrize("qubits", [5, 8, 14, 17])
def test_gates_are_those_of_the_circuit_at_every_size(qubits: int) -> None:
    assert SecondModule(connectivity=2, reuploads=2, block_layers=1, last_layers=2).gates == (8, 13) == (TWO_QUBIT_GATES, ONE_QUBIT_GATES)
    assert SecondModule(connectivity=1, reuploads=2, block_layers=1, last_layers=2).gates == (4, 9)
    assert gates_per_qubit(second_module(qubits)) == (8, 13)
    names = [gate.name for gate in second_module(qubits).gates]
    assert (names.count("CNOT"), names.count("RY")) == (8 * qubits, 13 * qubits)


def test_a_run_without_error_needs_every_gate_and_the_measured_qubit() -> None:
    paper = read_scenarios(SCENARIOS)["paper"]
    assert paper.without_error(10) == pytest.approx(0.996**80 * 0.9995**130 * 0.9961)
    one = result().scenarios["paper"]
    assert one.crossover_qubits is not None
    assert one.crossover_qubits_with_errors is not None
    more = paper.without_error(one.crossover_qubits_with_errors) ** -2
    assert gpu_j(PAPER, one.crossover_qubits_with_errors) == pytest.approx(more * qpu_j(PAPER, one.crossover_qubits_with_errors), rel=1e-6)
    assert one.crossover_qubits_with_errors > one.crossover_qubits + 5


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("power_w: 10_000 ", "power_w: many ", "scenarios.paper.qpu.power_w: "),
        ("shots: 4096", "shots: 0", "scenarios.paper.qpu.shots: "),
        ("two_qubit_fidelity: 0.996", "two_qubit_fidelity: 1.1", "scenarios.paper.qpu.two_qubit_fidelity: "),
        ("shots: 4096", "shoots: 4096", "Did you mean shots?"),
        ("amplitude_bytes: 8 ", "amplitude_bytes: 8.5 ", "scenarios.paper.gpu.amplitude_bytes: "),
        ("gates_per_pass: 15 ", "gates_per_pass: .inf ", "scenarios.paper.gpu.gates_per_pass: "),
    ],
)
def test_a_file_that_is_not_valid_is_named_by_line_and_field(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    text = SCENARIOS.read_text()
    line = 1 + text[: text.index(right)].count("\n")
    path = tmp_path / "qpu.yaml"
    path.write_text(text.replace(right, wrong, 1))
    shown = CliRunner().invoke(app, ["energy", "--qpu", str(path), "--out", str(tmp_path)])
    assert isinstance(shown.exception, UserError)
    assert f"{path}:{line}: " in str(shown.exception)
    assert said in str(shown.exception)


def test_a_missing_file_and_options_that_cannot_go_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml: cannot be read"):
        energy(tmp_path / "none.yaml", Request(), None, None, tmp_path)
    with pytest.raises(UserError, match="leave one or the other out"):
        energy(SCENARIOS, Request(qubits="4"), tmp_path / "measured.json", None, tmp_path)
    with pytest.raises(UserError, match=r"--simulators: there is no simulator abacus\. Choose from: compiled, triton, fused, torch"):
        energy(SCENARIOS, Request(simulators="abacus"), None, None, tmp_path)
    with pytest.raises(UserError, match="--simulators: sharded: shares its states among MPI ranks"):
        energy(SCENARIOS, Request(simulators="sharded"), None, None, tmp_path)
    with pytest.raises(UserError, match="at most 40"):
        energy(SCENARIOS, Request(qubits="50"), None, None, tmp_path)
    (tmp_path / "measured.json").write_text('{"threads": 1}')
    with pytest.raises(UserError, match=r"measured\.json: machine: Field required"):
        energy(SCENARIOS, Request(), tmp_path / "measured.json", None, tmp_path)


@pytest.mark.filterwarnings("ignore")  # PennyLane warns of other packages' versions
@pytest.mark.parametrize("name", ["compiled", "fused", "torch", "lightning.qubit"])
def test_inference_gives_the_values_of_the_reference(name: str) -> None:
    case = paper_head(4, 6)
    expected = np.asarray(prepare_reference(case)()[0])
    passes = by_simulator(case, name)
    assert passes.second_module is not None
    np.testing.assert_allclose(np.asarray(passes.head()), expected, atol=2e-6)
    np.testing.assert_allclose(np.asarray(passes.second_module()), expected, atol=2e-6)


@pytest.mark.slow
def test_inference_is_measured_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_ENERGY", "off")
    classical = measure(InferenceRequest(factory=CLASSICAL, rows=16, threads=1, limit_s=20))
    assert isinstance(classical, Inference)
    assert classical.second_module is None
    assert set(classical.values) <= {0, 1}
    assert 0 < classical.head.cpu_s < 1e-4
    assert classical.head.joules is None
    slow = InferenceRequest(factory=SIMULATOR, arguments=("torch",), qubits=16, rows=16, threads=1, limit_s=0.05)
    assert measure(slow) == "more than 0.05 s"


class Counting:
    """A meter of constant power, by a clock that every pass moves on; it may die."""

    method = "replay"

    def __init__(self, *devices: str, dies_after: int = 10**9) -> None:
        self.counters = tuple(Counter(device, device, "of a test") for device in devices)
        self.joules, self.reads, self.dies_after = 0.0, 0, dies_after

    def read(self) -> tuple[float, ...]:
        self.reads += 1
        if self.reads > self.dies_after:
            raise MeterError("gone")
        return tuple(self.joules * (place + 1) for place, _ in enumerate(self.counters))


def test_a_window_has_the_joules_of_its_passes_for_each_sentence() -> None:
    def used(meter: Counting, gpu: bool) -> Window:
        def one_pass() -> None:
            meter.joules += 6.0

        return window(one_pass, 4, meter, gpu, 0.0, 10.0)  # type: ignore[arg-type]

    assert used(Counting("cpu"), False).joules == 1.5
    assert used(Counting("cpu", "gpu:0"), True).joules == 3.0, "the GPU's, which counts twice as many"
    assert used(Counting("cpu", "gpu:0", "gpu:1"), True).joules is None, "which of them did it is not known"
    assert used(Counting("gpu:0"), False).joules is None
    assert used(Counting("cpu", dies_after=1), False).joules is None
    assert used(Counting("cpu"), False).passes == 3


def test_a_window_lasts_as_long_as_asked() -> None:
    short = window(lambda: None, 1, None, False, 0.05, 1.0)
    assert 0.05 <= short.window_s < 0.2
    assert short.passes > 100
    assert short.joules is None
    assert window(lambda: None, 1, None, False, 0.0, 0.0).passes == 1


def test_a_meter_that_models_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_ENERGY", "modelled:7.5")
    assert counting_meter() is None
    assert stated_core_w() == 7.5
    monkeypatch.setenv("HADAMARD_ENERGY", "off")
    assert stated_core_w() is None


def test_a_fit_finds_the_line_and_leaves_out_where_calls_dominate() -> None:
    sizes = np.array(SIZES)
    exact = fit(sizes.tolist(), (21 * sizes * 1e-9 * 2.0**sizes).tolist(), 21)
    assert exact is not None
    assert exact.slope == pytest.approx(1)
    assert exact.sd == pytest.approx(0, abs=1e-9)
    assert exact.value(46) == pytest.approx(21 * 46 * 1e-9 * 2.0**46)
    called = fit(sizes.tolist(), (21 * sizes * (1e-5 + 1e-9 * 2.0**sizes)).tolist(), 21)
    assert called is not None
    assert called.sizes == (18, 20, 22, 24)
    assert fit(SIZES[:4], [1e-5 * 21 * size for size in SIZES[:4]], 21) is None


def test_the_band_is_the_prediction_interval() -> None:
    generator = np.random.default_rng(3)
    sizes = np.array(SIZES)
    y = -30 + 1.02 * sizes + 0.2 * generator.standard_normal(len(sizes))
    line = fit(sizes.tolist(), (5 * sizes * 2**y).tolist(), 5)
    assert line is not None
    used = np.isin(sizes, line.sizes)
    ours = [math.log2(edge(46) / (5 * 46)) for edge in (line.value, line.low, line.high)]
    model = sm.OLS(y[used], sm.add_constant(sizes[used])).fit()
    theirs = model.get_prediction([[1.0, 46.0]]).summary_frame(alpha=0.05)
    np.testing.assert_allclose(ours, theirs[["mean", "obs_ci_lower", "obs_ci_upper"]].to_numpy()[0])


def test_joules_are_not_known_until_they_are_measured_or_watts_are_stated() -> None:
    nothing = result()
    assert nothing.joules is None
    assert all(curve.joules is None and curve.joules_fit is None for curve in nothing.curves)
    assert nothing.against == ()
    assert nothing.logistic_j is None
    assert "not measured: no counter on an abacus" in joules_known(nothing)
    modelled = result(watts=6)
    assert modelled.joules == "modelled"
    assert modelled.logistic_j == pytest.approx(6e-7)
    for curve in modelled.curves:
        assert curve.joules == pytest.approx([6 * seconds for seconds in curve.seconds])
    counted = result(metered_w=20)
    assert counted.joules == "measured"
    assert counted.sentence_encoder_j is None, "modelled joules do not stand beside measured ones"
    with pytest.raises(UserError, match="leave out --watts"):
        result(watts=6, metered_w=20)


def test_a_simulator_twice_as_fast_crosses_one_qubit_later() -> None:
    def at(amplitude_s: float) -> float:
        points_of = (*points("compiled", 1e-12, amplitude_s),)
        one = energy_result(read_scenarios(SCENARIOS), on_this_machine().model_copy(update={"points": points_of}), 6.0).against[0]
        assert one.line is not None
        assert one.earliest == pytest.approx(one.line, abs=0.01), "the points lie on a line"
        assert one.doubling == pytest.approx(one.line, abs=0.01), "which is one of exact doubling"
        return one.line

    assert at(1e-10) - at(2e-10) == pytest.approx(1, abs=0.01)
    by_hand = math.log2(10e3 * 4096 * (8 * 900e-6 + 13 * 110e-6) / 21 / (6 * 1e-10))
    assert at(1e-10) == pytest.approx(by_hand, abs=0.02)


def test_of_a_gpu_watts_of_a_core_say_nothing() -> None:
    by_gpu = tuple(point.model_copy(update={"on_gpu": True}) for point in points("triton", 1e-7, 1e-10))
    (curve,) = energy_result(read_scenarios(SCENARIOS), on_this_machine().model_copy(update={"points": by_gpu}), 6.0).curves
    assert curve.joules is None
    assert curve.seconds == tuple(point.second_module.wall_s for point in by_gpu if point.second_module)


def test_what_the_verb_shows_and_writes(tmp_path: Path) -> None:
    (tmp_path / "saved.json").write_text(on_this_machine().model_dump_json())
    options = ["energy", "--from", str(tmp_path / "saved.json"), "--watts", "6", "--out", str(tmp_path / "out")]
    shown = CliRunner().invoke(app, options)
    assert shown.exit_code == 0, shown.output
    (line,) = [line for line in shown.output.splitlines() if line.startswith("crossover, qubits")]
    assert line.split()[-2:] == ["46.1", "33.9"]
    for name, label in INPUTS.items():
        (line,) = [line for line in shown.output.splitlines() if line.startswith(label)][:1]
        assert value_of(name, getattr(PAPER, name)) in line
        assert value_of(name, getattr(FOLLOW_UP, name)) in line
    for words in ("modelled, CPU seconds x 6 W", "16.4 MJ", "27.3 min", "552 TiB", "7,591", "17 %", "x 35.3", "51.9"):
        assert words in shown.output, words
    assert read_measured(tmp_path / "out" / "measured.json") == on_this_machine()
    plain = json.loads(CliRunner().invoke(app, [*options, "--json"]).stdout)
    assert [round(one["crossover_qubits"], 1) for one in plain["scenarios"].values()] == [46.1, 33.9]
    assert {one["simulator"] for one in plain["against"]} == {"compiled", "lightning.qubit"}
    assert EnergyResult.model_validate_json(json.dumps(plain)).file == tmp_path / "out" / "measured.json"


def test_a_simulator_that_fails_is_given_up_and_one_with_other_values_gets_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    requested: list[tuple[str, int, int]] = []

    def fake(request: InferenceRequest) -> Inference | str:
        name = request.arguments[0] if request.arguments else "classical"
        requested.append((name, request.qubits, request.rows))
        if (name, request.qubits) == ("fused", 6):
            return "more than 1 s"
        values = (0.5, float("nan")) if (name, request.qubits) == ("lightning.qubit", 8) else (0.5, 0.25)
        return Inference(values=values, head=taken(1.0), second_module=taken(0.5), on_gpu=False)

    monkeypatch.setattr(measured, "measure", fake)
    monkeypatch.setenv("HADAMARD_ENERGY", "off")
    contestants = [Contestant(name, SIMULATOR, (name,)) for name in ("compiled", "fused", "lightning.qubit")]
    all_of_it = measure_all(contestants, "compiled", [4, 6, 8, 10, 24], 1.0, lambda _: None)
    assert [qubits for name, qubits, _ in requested if name == "fused"] == [4, 6]
    assert [qubits for name, qubits, _ in requested if name == "lightning.qubit"] == [4, 6, 8]
    assert [rows for name, qubits, rows in requested if name == "compiled" and qubits == 24] == [1], "one sentence is all there is"
    why = {(point.simulator, point.qubits): point.why for point in all_of_it.points if point.why}
    assert why == {("fused", 6): "more than 1 s", ("lightning.qubit", 8): "its values are not those of the others"}
    assert all_of_it.meter is None
    assert "HADAMARD_ENERGY=off" in all_of_it.why_no_meter
    assert [name for name, _ in all_of_it.series()] == ["compiled", "compiled (one by one)", "fused", "lightning.qubit"]


def test_batches_shrink_where_states_are_large() -> None:
    assert [rows_at(qubits) for qubits in (4, 17, 18, 20, 21, 26)] == [16, 16, 8, 2, 1, 1]
