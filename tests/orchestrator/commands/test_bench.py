"""The benchmark: its case, its contestants' numbers, and that wrong numbers never get a time."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hadamard.model.circuits.circuit import encoder_circuit, second_module_circuit
from hadamard.model.errors import SettingsError, UserError
from hadamard.model.heads.quantum.amplitude_encoding import AmplitudeEncoding
from hadamard.model.heads.quantum.classifier import QuantumClassifier
from hadamard.model.heads.quantum.settings import QuantumHead
from hadamard.model.simulators.registry import open_simulator
from hadamard.orchestrator.cli import app
from hadamard.orchestrator.commands.bench import comparison, show
from hadamard.orchestrator.commands.bench.cases import circuits, fused_gates, in_parts, least_bytes, paper_head, step_flop
from hadamard.orchestrator.commands.bench.cell import Answer, Cell, run
from hadamard.orchestrator.commands.bench.contestants import BY_NAME, REFERENCE, prepare, why_absent
from hadamard.orchestrator.commands.bench.machine import GemmRate
from hadamard.orchestrator.commands.bench.ordinary import OrdinaryHead, Rates
from hadamard.orchestrator.commands.bench.study import bench_study, scaled_seconds
from hadamard.orchestrator.commands.bench.with_simulator import prepare_reference
from tests.support.studies import TINY, read, write_study

PEERS = [one.name for one in BY_NAME.values() if one.package]
OURS = ["compiled", "fused", "torch"]
GEMM = GemmRate(1e11, "numpy")


def answer(name: str, qubits: int, rows: int) -> Answer:
    return Answer(*(np.asarray(part, dtype=np.float64) for part in prepare(name, paper_head(qubits, rows))()))


def test_the_case_is_the_head_of_the_settings_where_these_can_say_it() -> None:
    case = paper_head(4, 2)
    assert case.encoder == encoder_circuit(4, 3, 2)
    shallow = second_module_circuit(4, [0, 0], 1, 2, measured=1)
    assert case.second.gates[: len(shallow.gates)] == shallow.gates  # PQC 2 begins with what one layer has
    assert case.second.weights == shallow.weights + 2 * 4
    np.testing.assert_allclose(np.linalg.norm(case.states, axis=1), 1)


def test_flop_count_11_per_amplitude_and_fused_gate() -> None:
    assert [fused_gates(circuit) for circuit in circuits(6)] == [42, 12 + 66]
    assert step_flop(6, 32) == 11 * 32 * 64 * 120


def test_memory_counts_the_row_that_the_reference_keeps_after_every_gate() -> None:
    assert least_bytes(18, 32) < 2**33 < least_bytes(20, 32) < 24e9 < least_bytes(21, 1)


def test_parts_of_the_batch_give_what_the_whole_gives() -> None:
    case = paper_head(3, 5)
    whole, parts = prepare_reference(case)(), in_parts(case, 2, prepare_reference)()
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(np.asarray(one), other, atol=1e-12)


@pytest.mark.filterwarnings("ignore")  # peers warn of each other's versions
@pytest.mark.parametrize("name", [*OURS, *PEERS])
def test_contestants_agree_with_the_reference(name: str) -> None:
    if why := why_absent(BY_NAME[name]):
        pytest.skip(why)
    value, gradient = answer(name, 4, 6).errors(answer(REFERENCE, 4, 6))
    assert value < 2e-6
    assert gradient < 2e-5


def test_a_cell_is_measured_in_its_own_process() -> None:
    measured = run(Cell("qulacs", 3, 4, 1, limit_s=30))
    assert not isinstance(measured, str), measured
    found, timing = measured
    assert found.errors(answer(REFERENCE, 3, 4)) < (1e-12, 1e-12)
    assert 0 < timing.cpu_s < 1
    assert timing.steps > 10
    assert timing.extra_bytes is not None
    assert 0 <= timing.extra_bytes < 2**26
    assert timing.compile_s is None


def test_a_cell_ends_at_its_limit_and_a_failure_is_told() -> None:
    assert run(Cell(REFERENCE, 12, 64, 1, limit_s=0.1)) == "more than 0.1 s"
    failed = run(Cell("qulacs", 2, 4, 1, limit_s=5))  # rings of distance 2 on 2 qubits
    assert isinstance(failed, str)
    assert failed.startswith("failed: ValueError: CNOT acts on 2 different qubits")


def faked(monkeypatch: pytest.MonkeyPatch, error: float) -> None:
    """Answer without a process, `torch` with an error in one gradient."""
    timing = comparison.Timing(0.5, 0.5, 3, None, 1000, False)

    def fake(cell: Cell) -> tuple[Answer, comparison.Timing]:
        found = answer(REFERENCE, cell.qubits, cell.rows)
        if cell.name == "torch":
            found.second_gradient[3] += error
        return found, timing

    monkeypatch.setattr(comparison, "run", fake)
    monkeypatch.setattr("hadamard.orchestrator.commands.bench.machine.gemm_rate", lambda: GEMM)


@pytest.mark.parametrize("error", [2e-4, float("nan")])
def test_wrong_numbers_get_no_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: float) -> None:
    faked(monkeypatch, error)
    options = ["bench", "--qubits", "3", "--batch", "4", "--simulators", "torch,compiled", "--out", str(tmp_path)]
    shown = CliRunner().invoke(app, options)
    assert shown.exit_code == 1, shown.output
    (line,) = [line for line in shown.output.splitlines() if line.split()[:2] == ["torch", "3"]]
    assert "WRONG NUMBERS" in line
    assert "0.5" not in line
    assert "torch at 3 qubits: its numbers are not those of the reference" in shown.output
    found = {one["name"]: one for one in json.loads(CliRunner().invoke(app, [*options, "--json"]).stdout)["results"]}
    assert found["torch"]["status"] == "wrong"
    assert found["torch"]["timing"] is None
    assert found["compiled"]["status"] == "measured"


def test_a_peer_that_is_not_installed_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faked(monkeypatch, 0.0)
    monkeypatch.setitem(BY_NAME, "qulacs", dataclasses.replace(BY_NAME["qulacs"], package="no_such.package"))
    monkeypatch.setattr("hadamard.orchestrator.commands.bench.contestants.CONTESTANTS", tuple(BY_NAME.values()))
    shown = CliRunner().invoke(app, ["bench", "--qubits", "3", "--batch", "4", "--simulators", "qulacs,torch", "--out", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert "not installed (pip install 'hadamard[peers]')" in shown.output


@pytest.mark.slow
def test_bench_from_the_command_line(tmp_path: Path) -> None:
    options = ["bench", "--qubits", "3", "--batch", "4", "--simulators", "compiled,qulacs", "--out", str(tmp_path / "new"), "--json"]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    assert content["batch"] == 4
    assert content["gemm"]["flop_per_s"] > 1e8
    assert content["machine"]["processor"]
    assert set(content["machine"]["versions"]) >= {"torch", "pennylane"}
    for one in content["results"]:
        assert one["status"] == "measured", one
        assert one["timing"]["cpu_s"] > 0
        assert one["gradient_error"] < 1e-4
        assert (one["gemm_share"] is None) == (one["name"] == "qulacs")
        assert one["faster_than_baseline"] is None  # it was not measured
    assert (tmp_path / "new" / "bench.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--simulators", "torch,cirq"], "cirq cannot be timed; those that can are compiled, "),
        (["--qubits", "2"], "need at least 3 qubits"),
        (["--qubits", "6,x"], "'x' is no number of qubits"),
        (["--qubits", "5000"], "GiB of memory hold up to "),
        (["--set", "training.epochs=1"], "name it by --study"),
        (["--threads", "100000"], "can be used here"),
        (["--out", "/proc/nowhere"], "--out /proc/nowhere"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(options: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["bench", *options])
    assert message in str(done.exception)
    assert isinstance(done.exception, UserError)


def test_a_long_reason_leaves_the_table_whole() -> None:
    stopped = comparison.Result("jax", 3, "stopped", f"failed: {'x' * 200}")
    measured = comparison.Result("torch", 3, "measured", "", comparison.Timing(2.0, 1.0, 3, None, None, False))
    machine = {"processor": "one", "cores": 2, "Python": "3.11", "versions": {}}
    shown = show.as_text(comparison.Comparison((stopped, measured), {3: "torch"}, 4, 1, GEMM, machine)).splitlines()
    assert [line.split()[:3] for line in shown if line.split()[1:2] == ["3"]] == [["jax", "3", "stopped"], ["torch", "3", "2"]]
    assert f"jax at 3 qubits: {stopped.why}" in shown


def test_several_threads_are_timed_by_the_clock() -> None:
    timing = comparison.Timing(2.0, 1.0, 3, None, None, False)
    one = comparison.Result("torch", 3, "measured", "", timing)
    two = comparison.Result("lightning.qubit", 3, "measured", "", dataclasses.replace(timing, cpu_s=8.0, wall_s=3.0))
    for threads, faster in ((1, 4.0), (2, 3.0)):
        both = comparison.Comparison((one, two), {3: "torch"}, 4, threads, GEMM, {})
        assert both.faster(one, "lightning.qubit") == faster
        assert both.ours_faster(two) == faster


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "settings",
    [
        QuantumHead(qubits=3, reuploads=2, layers=1, connectivity=2),
        QuantumHead(qubits=2, encoders=2, merge="blocks", reuploads=3, angle_scale=0.7, reading="B", share_blocks=True),
        QuantumHead(qubits=2, encoders=2, merge="concatenate", measured=3),
    ],
)
def test_the_ordinary_way_trains_the_same_head(settings: QuantumHead) -> None:
    embeddings = torch.randn(6, 2**settings.qubits, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ours = QuantumClassifier([settings], [embeddings], open_simulator("torch"))
    parameters = ours.initial_parameters([torch.Generator().manual_seed(2)])
    theirs = OrdinaryHead(settings)
    with torch.no_grad():
        for leaf, part in zip(theirs.parameters(), torch.split(parameters[0], ours.sizes), strict=True):
            leaf.copy_(part.view_as(leaf))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        logits = theirs(AmplitudeEncoding(settings, [embeddings]).states(embeddings[None])[0])
    finally:
        torch.set_default_dtype(before)
    expected = ours.logits(parameters, embeddings[None], [np.random.default_rng()])[0]
    torch.testing.assert_close(logits, expected, atol=1e-10, rtol=0)


def test_rates_are_scaled_to_all_steps_and_evaluations(tmp_path: Path) -> None:
    trial = read(tmp_path).trials[0]  # 3 epochs, batch 8; 32 sentences drawn, 27 train and 5 validation; 300 in all
    assert scaled_seconds(trial, Rates(1, 10.0, 1, 0.1)) == pytest.approx(3 * 4 * 10.0 + (3 * 5 + 300) * 0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("kind: quantum", "noise: {shots: 100}"), "has noise or shots"),
        (("reduction: pca", "reduction: projection"), "use pca or truncate"),
        (("kind: quantum", "kind: quantum, second_module: false"), "lacks a part of the paper's head"),
    ],
)
def test_what_the_ordinary_way_cannot_do_is_refused(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        bench_study(write_study(tmp_path, TINY.replace(*change)), [], 1.0, as_json=False)


@pytest.mark.slow
def test_bench_of_a_study(tmp_path: Path) -> None:
    done = json.loads(bench_study(write_study(tmp_path), [], 4.0, as_json=True))
    assert done["trials"] == 8  # no baselines
    assert done["ours"]["trials_per_hour"] > 0
    assert "scaled" in done["ordinary"]["how"]
    assert done["ratio"] == pytest.approx(done["ours"]["trials_per_hour"] / done["ordinary"]["trials_per_hour"])
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]
