"""Whole runs over real Ray with a meter that replays a trace, and with budgets: they stop where they should, lose nothing, and go on."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from hadamard.orchestrator.energy.attribution import study_energy
from hadamard.orchestrator.energy.totals import study_j
from hadamard.orchestrator.ledger.resource_log import runs_used
from tests.support.metered import constant_trace, held_s
from tests.support.studies import TINY, write_study
from tests.support.whole_runs import EPOCHS, LONGER, TRIALS, run

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
WATTS = 20.0
LONG = LONGER.replace(f"epochs: {EPOCHS}", f"epochs: {2 * EPOCHS}")
"""Of so much work that the budgets below end it, however quick a machine is."""


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node that takes 20 W from now on, its count starting again from zero every 1,000 J."""
    file = constant_trace(tmp_path / "trace.csv", WATTS)
    monkeypatch.setenv("HADAMARD_ENERGY", f"replay:{file}")
    return file


def embeddings_j(directory: Path) -> float:
    """Return what the embeddings took, where they were not in the cache yet."""
    return study_energy(directory, []).embeddings_j or 0.0


def results_of(directory: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in directory.glob("trials/*/result.json")}


@pytest.mark.usefixtures("trace")
def test_joules_of_trials_are_those_of_the_trace_while_packs_ran(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    code, output = run(write_study(tmp_path, TINY), directory)
    assert code == 0, output
    costs = pd.read_csv(directory / "report" / "costs.csv")
    assert len(costs) == 10
    assert costs["energy_j"].sum() + embeddings_j(directory) == pytest.approx(study_j(directory), rel=1e-6), (
        "nothing is lost, nothing is counted twice"
    )
    assert costs["energy_j"].sum() == pytest.approx(WATTS * held_s(directory), rel=0.01), "readings are stamped within milliseconds"
    assert (costs[["training_j", "inference_j", "overhead_j"]] > 0).all(axis=None)
    assert costs["net_energy_j"].abs().max() < 0.01 * costs["energy_j"].max(), "the idle node takes as much in this trace"
    assert set(costs["energy_scope"]) == {"trace of package-0"}
    assert "Where the joules go" in (directory / "report" / "report.html").read_text()


@pytest.mark.usefixtures("trace")
def test_a_study_stops_where_its_energy_ends_and_goes_on_with_more(tmp_path: Path) -> None:
    study, directory, limit_j = write_study(tmp_path, LONG), tmp_path / "run", 300.0
    code, output = run(study, directory, "--set", f"budget.energy={limit_j} J")
    assert code == 1, output
    assert "the budget ends it: energy " in output
    assert "--set budget.energy=..." in output
    used_j, before = study_j(directory), results_of(directory)
    assert used_j is not None
    assert 0.5 * limit_j < used_j < limit_j + 12 * WATTS, "its record is 5 s old at most, and what is in training saves its epoch"
    assert len(before) < TRIALS
    code, output = run(study, directory, "--set", "budget.energy=1 kWh")
    assert code == 0, output
    after = results_of(directory)
    assert len(after) == TRIALS
    assert before.items() <= after.items(), "what was done stays"
    costs = pd.read_csv(directory / "report" / "costs.csv")
    assert costs["energy_j"].sum() + embeddings_j(directory) == pytest.approx(study_j(directory), rel=1e-6), (
        "stopped attempts count with those that went on"
    )


def test_a_study_stops_where_its_time_ends_and_goes_on_to_a_number_of_trials(tmp_path: Path) -> None:
    study, directory, limit_s = write_study(tmp_path, LONG), tmp_path / "run", 22.0
    code, output = run(study, directory, "--set", f"budget.wall={limit_s} s")
    assert code == 1, output
    assert "the budget ends it: wall " in output
    (first,) = runs_used(directory)
    assert first.wall_s < limit_s + 15, "what is in training saves its epoch"
    stops = [
        event["cause"]
        for path in directory.glob("trials/*/journal.jsonl")
        for event in map(json.loads, path.read_text().splitlines())
        if event["event"] == "stopped"
    ]
    before = results_of(directory)
    assert len(before) < TRIALS
    assert set(stops) <= {"budget"}
    code, output = run(study, directory, "--set", "budget.trials=6", "--set", "budget.wall=2 h", "--set", "budget.node_hours=2")
    assert code == 1, output
    assert len(results_of(directory)) == max(6, len(before))
    assert before.items() <= results_of(directory).items()


def test_joules_cannot_be_limited_where_none_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_ENERGY", "off")
    code, output = run(write_study(tmp_path, TINY), tmp_path / "run", "--set", "budget.energy=1 kJ")
    assert code == 2
    assert "--set budget.energy=1 kJ: budget.energy: joules cannot be limited, since they are not measured: " in output
    assert "switched off" in output
    assert not (tmp_path / "run").exists()
