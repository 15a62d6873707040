"""The ledger's records as tables: equal records give equal bytes, and what is missing stays missing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.testing import assert_frame_equal

from hadamard.model.trial import Trial
from hadamard.orchestrator.energy.attribution import StudyEnergy, TrialEnergy
from hadamard.orchestrator.ledger.ledger import Status, TrialRecord
from hadamard.orchestrator.results.tables import RESPONSES, costs, costs_table, curves, results_table
from hadamard.orchestrator.study.expansion import Plan
from tests.support.studies import TINY, read

ENERGY = TrialEnergy({"training": 40.0, "inference": 2.0}, 30.0, 100, "cpu package", "counter, by device-seconds", 8.5)


def record(trial: Trial, status: Status = "done", *events: dict[str, Any]) -> TrialRecord:
    result = {"responses": {name: 1 / (3 + trial.split) for name in RESPONSES}, "parameters": 7} if status == "done" else None
    return TrialRecord(trial, status, "killed" if status == "failed" else None, None, result, ({"event": "started", "host": "a"}, *events))


def some(plan: Plan) -> list[TrialRecord]:
    states: tuple[Status, ...] = ("failed", "running", "owed")
    return [record(trial, states[at] if at < 3 else "done") for at, trial in enumerate(plan.trials)]


def test_equal_records_give_equal_bytes_in_any_order(plan: Plan, tmp_path: Path) -> None:
    records = some(plan)
    tables = [results_table(plan, records), results_table(plan, random.Random(1).sample(records, len(records)))]
    for at, table in enumerate(tables):
        table.to_parquet(tmp_path / f"{at}.parquet", index=False)
    assert_frame_equal(*tables)
    assert tables[0].to_csv() == tables[1].to_csv()
    assert (tmp_path / "0.parquet").read_bytes() == (tmp_path / "1.parquet").read_bytes()
    assert list(tables[0]["key"]) == sorted(trial.key for trial in plan.trials)


def test_types_do_not_depend_on_what_has_finished(plan: Plan) -> None:
    nothing = results_table(plan, [record(trial, "owed") for trial in plan.trials])
    everything = results_table(plan, [record(trial) for trial in plan.trials])
    assert dict(nothing.dtypes) == dict(everything.dtypes)


def test_lines_say_state_and_values(plan: Plan) -> None:
    table = results_table(plan, some(plan)).set_index("key")
    failed, running, owed, done = (table.loc[trial.key] for trial in plan.trials[:4])
    assert (failed["status"], failed["cause"]) == ("failed", "killed")
    assert (running["status"], owed["status"], done["status"]) == ("owed", "owed", "done")
    assert pd.isna(running["test_accuracy"])
    assert pd.isna(running["parameters"])
    assert done["test_accuracy"] == 1 / (3 + done["split"])
    for trial in plan.trials:
        line = table.loc[trial.key]
        if trial.arm == "logistic":
            assert line[["row", "head.qubits", "training.lr"]].isna().all()
        else:
            assert plan.design.rows[line["row"]].name == trial.arm
            assert {path: line[path] for path in trial.factors} == plan.design.rows[line["row"]].values


def test_levels_without_a_common_type_are_text(tmp_path: Path) -> None:
    plan = read(tmp_path, TINY.replace("training.lr: [0.02, 0.1]", "head.angle_scale: [pi, 1.0]\n  training.weight_decay: [0, 0.5]"))
    table = results_table(plan, [record(trial) for trial in plan.trials])
    assert set(table["head.angle_scale"].dropna()) == {"pi", "1.0"}
    assert set(table["training.weight_decay"].dropna()) == {0.0, 0.5}
    assert [str(table[path].dtype) for path in ("head.angle_scale", "training.weight_decay")] == ["string", "Float64"]


def test_energy_is_missing_unless_it_was_measured(plan: Plan) -> None:
    trial, other = plan.trials[:2]
    done = record(trial, "done", {"event": "epoch", "seconds": 2.0}, {"event": "evaluated", "seconds": 0.5})
    energy = StudyEnergy({trial.digest: ENERGY})
    line = costs(done, energy, grid_g_per_kwh=100.0)
    assert {name: line[name] for name in ("attempts", "train_s", "energy_j", "net_energy_j", "training_j", "evaluation_j", "host")} == {
        "attempts": 1, "train_s": 2.5, "energy_j": 42.0, "net_energy_j": 30.0, "training_j": 40.0, "evaluation_j": None, "host": "a",
    }  # fmt: skip
    assert line["inference_j_per_sentence"] == 0.02
    assert (line["energy_scope"], line["energy_method"], line["energy_window_s"]) == ("cpu package", "counter, by device-seconds", 8.5)
    table = costs_table([record(other), done], energy).set_index("key")
    assert list(table.index) == sorted(one.key for one in (trial, other))
    assert table.loc[other.key, ["train_s", "energy_j", "co2_g", "energy_window_s"]].isna().all()
    assert costs_table([record(other)])["energy_window_s"].dtype == float


def test_curves_are_those_of_heads_trained_by_gradient(tmp_path: Path) -> None:
    plan = read(tmp_path, TINY, ["baselines=[logistic, svc, fourier, mlp, {kind: quadratic, components: 4}]"])
    epoch = {"event": "epoch", "epoch": 1}
    found = curves([record(trial, "done", epoch) for trial in plan.trials])
    assert found == {trial.key: [epoch] for trial in plan.trials if trial.arm not in ("logistic", "svc", "fourier")}
    assert {key.partition("-")[0] for key in found} == {"r00", "r01", "r02", "r03", "mlp", "quadratic"}


def test_curves_are_those_of_the_candidates_chosen_and_of_no_fold(tmp_path: Path) -> None:
    plan = read(tmp_path, TINY, ["tune.training.batch=[4, 8]", "selection.folds=2", "selection.repeats=1"])
    records = [record(trial, "done", {"event": "epoch", "epoch": 1}) for trial in plan.trials]
    chosen = results_table(plan, records).query("row.notna()")["key"]
    assert len(chosen) == 4 * 2
    assert set(curves(records)) == set(chosen)
