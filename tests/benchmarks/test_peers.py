"""The benchmark against peers: their numbers, the ratios, and the ordinary way of doing a study."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from benchmarks.peers import __main__ as verb
from benchmarks.peers import comparison, show
from benchmarks.peers.contestants import BY_NAME, Peer
from benchmarks.peers.gemm import GemmRate, fused_gates, step_flop
from benchmarks.peers.ordinary import OrdinaryHead, Rates
from benchmarks.peers.study import bench_study, scaled_seconds
from hadamard.model.errors import SettingsError
from hadamard.model.heads.quantum.amplitude_encoding import AmplitudeEncoding
from hadamard.model.heads.quantum.classifier import QuantumClassifier
from hadamard.model.heads.quantum.settings import QuantumHead
from hadamard.model.lazy import load
from hadamard.model.simulators.registry import open_simulator
from hadamard.orchestrator.timing import comparison as timing
from hadamard.orchestrator.timing.machine import Machine
from hadamard.orchestrator.timing.paper_head import circuits, paper_head
from hadamard.orchestrator.timing.simulators import REFERENCE_FACTORY
from hadamard.orchestrator.timing.steps import Answer, StepRequest, Timing
from tests.support.studies import TINY, read, write_study

GEMM = GemmRate(1e11, "numpy")


MACHINE = Machine(processor="Abacus", cores=2, system="Linux", python="3.11", versions={})
TIMING = Timing(cpu_s=2.0, wall_s=1.0, steps=3, prepare_s=0.1, extra_bytes=None, on_gpu=False)


def answer(factory: str, qubits: int, rows: int, *arguments: str) -> Answer:
    return Answer(*(np.asarray(part, dtype=np.float64) for part in load(factory)(paper_head(qubits, rows), *arguments)()))


def test_flop_count_11_per_amplitude_and_fused_gate() -> None:
    assert [fused_gates(circuit) for circuit in circuits(6)] == [42, 12 + 66]
    assert step_flop(6, 32) == 11 * 32 * 64 * 120


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # peers warn of each other's versions
@pytest.mark.parametrize("peer", [peer for peer in BY_NAME.values() if peer.package], ids=lambda peer: peer.name)
def test_peers_agree_with_the_reference(peer: Peer) -> None:
    if why := peer.contestant.absent:
        pytest.skip(why)
    value, gradient = answer(peer.factory, 4, 6, *peer.arguments).errors(answer(REFERENCE_FACTORY, 4, 6))
    assert value < 2e-6
    assert gradient < 2e-5


def faked(monkeypatch: pytest.MonkeyPatch, error: float) -> None:
    """Answer without a process, `torch` with an error in one gradient."""

    def fake(request: StepRequest) -> tuple[Answer, Timing]:
        right = answer(REFERENCE_FACTORY, request.qubits, request.rows)
        if request.arguments == ("torch",):
            right.second_gradient[3] += error
        return right, TIMING

    monkeypatch.setattr(timing, "time_step", fake)
    monkeypatch.setattr(comparison, "gemm_rate", lambda: GEMM)


def run(*words: str) -> Any:
    app = typer.Typer()
    app.command()(verb.main)
    return CliRunner().invoke(app, words)


def test_wrong_numbers_get_no_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faked(monkeypatch, 2e-4)
    options = ["--qubits", "3", "--batch", "4", "--simulators", "torch,compiled", "--out", str(tmp_path)]
    shown = run(*options)
    assert shown.exit_code == 1, shown.output
    (line,) = [line for line in shown.output.splitlines() if line.split()[:2] == ["torch", "3"]]
    assert "WRONG NUMBERS" in line
    assert "torch at 3 qubits: its numbers are not those of the reference" in shown.output
    results = {result["name"]: result for result in json.loads(run(*options, "--json").stdout)["results"]}
    assert (results["torch"]["status"], results["torch"]["timing"]) == ("wrong", None)
    assert results["compiled"]["status"] == "measured"
    assert (tmp_path / "bench.png").stat().st_size > 5000


def test_a_peer_that_is_not_installed_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faked(monkeypatch, 0.0)
    monkeypatch.setitem(BY_NAME, "qulacs", dataclasses.replace(BY_NAME["qulacs"], package="no_such.package"))
    shown = run("--qubits", "3", "--batch", "4", "--simulators", "qulacs,torch", "--out", str(tmp_path))
    assert shown.exit_code == 0, shown.output
    assert "not installed (make peers, or pip install --group peers)" in shown.output


@pytest.mark.slow
def test_peers_from_the_command_line(tmp_path: Path) -> None:
    done = run("--qubits", "3", "--batch", "4", "--simulators", "compiled,qulacs", "--out", str(tmp_path / "new"), "--json")
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    assert content["gemm"]["flop_per_s"] > 1e8
    assert set(content["machine"]["versions"]) >= {"torch", "pennylane"}
    for result in content["results"]:
        assert result["status"] == "measured", result
        assert result["timing"]["cpu_s"] > 0
        assert (result["gemm_share"] is None) == (result["name"] == "qulacs")
        assert result["faster_than_baseline"] is None  # it was not measured


def test_a_name_that_is_none_is_refused() -> None:
    assert "cirq cannot be timed; those that can are compiled, " in str(run("--simulators", "torch,cirq").exception)


def test_a_long_reason_leaves_the_table_whole() -> None:
    stopped = timing.Result(name="jax", qubits=3, status="stopped", why=f"failed: {'x' * 200}")
    measured = timing.Result(name="torch", qubits=3, status="measured", timing=TIMING)
    shown = show.as_text(comparison.Comparison((stopped, measured), {3: "torch"}, 4, 1, GEMM, MACHINE)).splitlines()
    assert [line.split()[:3] for line in shown if line.split()[1:2] == ["3"]] == [["jax", "3", "stopped"], ["torch", "3", "2"]]
    assert f"jax at 3 qubits: {stopped.why}" in shown


def test_several_threads_are_timed_by_the_clock() -> None:
    ours = timing.Result(name="torch", qubits=3, status="measured", timing=TIMING)
    peer = timing.Result(
        name="lightning.qubit", qubits=3, status="measured", timing=TIMING.model_copy(update={"cpu_s": 8.0, "wall_s": 3.0})
    )
    for threads, faster in ((1, 4.0), (2, 3.0)):
        both = comparison.Comparison((ours, peer), {3: "torch"}, 4, threads, GEMM, MACHINE)
        assert both.faster(ours, "lightning.qubit") == faster
        assert both.ours_faster(peer) == faster
    assert both.gemm_share(ours) == pytest.approx(step_flop(3, 4) / 1e11 / 2.0)
    assert both.gemm_share(peer) is None


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
