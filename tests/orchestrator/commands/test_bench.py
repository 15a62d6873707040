"""`hadamard bench`: wrong numbers get no time, bad input is refused before anything is measured, JSON is the result model."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hadamard.model.errors import UserError
from hadamard.model.lazy import load
from hadamard.orchestrator.cli import app
from hadamard.orchestrator.commands.bench import BenchResult
from hadamard.orchestrator.timing import comparison
from hadamard.orchestrator.timing.paper_head import paper_head
from hadamard.orchestrator.timing.simulators import REFERENCE_FACTORY
from hadamard.orchestrator.timing.steps import Answer, StepRequest, Timing

TIMING = Timing(cpu_s=0.5, wall_s=0.25, steps=3, prepare_s=0.1, extra_bytes=3 * 2**20, on_gpu=False)


def bench(*words: str) -> Any:
    return CliRunner().invoke(app, ["bench", *words])


@pytest.mark.parametrize("error", [2e-4, float("nan")])
def test_wrong_numbers_get_no_time(monkeypatch: pytest.MonkeyPatch, error: float) -> None:
    def fake(request: StepRequest) -> tuple[Answer, Timing] | str:
        if request.arguments == ("fused",):
            return "more than 60 s"
        step = load(REFERENCE_FACTORY)(paper_head(request.qubits, request.rows))
        right = Answer(*(np.asarray(part, dtype=np.float64) for part in step()))
        right.second_gradient[3] += error if request.arguments == ("torch",) else 0
        return right, TIMING

    monkeypatch.setattr(comparison, "time_step", fake)
    options = ["--qubits", "3", "--batch", "4", "--simulators", "compiled,fused,torch,sharded"]
    shown = bench(*options)
    assert shown.exit_code == 1, shown.output
    rows = {line.split()[0]: line for line in shown.output.splitlines() if line.split()[1:2] == ["3"]}
    assert rows["torch"].split()[2] == "wrong"
    assert "0.5" not in rows["torch"]
    assert rows["compiled"].split()[2:6] == ["0.5", "1", "3", "MiB"]
    assert rows["fused"].split()[2] == "stopped"
    assert rows["sharded"].split()[2] == "absent"
    for reason in ("torch, 3 qubits: its numbers are not those", "fused, 3 qubits: more than 60 s", "sharded, 3 qubits: shares its states"):
        assert reason in shown.output
    content = json.loads(bench(*options, "--json").stdout)
    results = {result["name"]: result for result in content["results"]}
    assert (results["torch"]["status"], results["torch"]["timing"]) == ("wrong", None)
    assert results["compiled"]["timing"]["cpu_s"] == 0.5
    assert BenchResult.model_fields.keys() == content.keys()


@pytest.mark.slow
def test_the_simulators_of_this_machine_are_timed() -> None:
    done = bench("--qubits", "3", "--batch", "4", "--simulators", "compiled,torch", "--json")
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    assert content["machine"]["processor"]
    assert set(content["machine"]["versions"]) >= {"torch", "pennylane"}
    for result in content["results"]:
        assert result["status"] == "measured", result
        assert result["timing"]["cpu_s"] > 0
        assert result["gradient_error"] < 1e-4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--simulators", "torch,cirq"], "there is no simulator cirq. Choose from: compiled, "),
        (["--qubits", "2"], "need at least 3 qubits"),
        (["--qubits", "5000"], "GiB of memory hold up to "),
        (["--threads", "100000"], "can be used here"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(options: list[str], message: str) -> None:
    done = bench(*options)
    assert message in str(done.exception)
    assert isinstance(done.exception, UserError)
