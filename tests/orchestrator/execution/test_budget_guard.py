"""Budgets: their units, what they allow, and what is begun within them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hadamard.model.files.atomic import read_json
from hadamard.model.files.causes import Cause
from hadamard.orchestrator.energy.totals import study_j
from hadamard.orchestrator.execution.budget_guard import (
    NOT_ENFORCED,
    BudgetGuard,
    Limits,
    against,
    allowed,
    deadline,
    ended_by,
    used,
    why_no_room,
)
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.ledger.notices import notices
from hadamard.orchestrator.ledger.resource_log import RunUse, runs_used, save_run
from hadamard.orchestrator.study.budget import Budget, Used, passed
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.study.file import StudyError
from tests.support.finished import fail, finish
from tests.support.metered import WATTS, launch, node
from tests.support.studies import entered, read


@pytest.fixture
def ledger(tmp_path: Path, plan: Plan) -> Ledger:
    return entered(tmp_path / "run", plan)


@pytest.mark.parametrize(
    ("setting", "value", "number"),
    [
        ("wall", "90 min", 5400.0), ("wall", "1.5h", 5400.0), ("wall", "2 d", 172800.0), ("wall", 30, 30.0), ("node_hours", 12, 12.0),
        ("energy", "2 kWh", 7.2e6), ("energy", "1.5e3 kJ", 1.5e6), ("energy", 500, 500.0), ("trials", 40, 40),
    ],
)  # fmt: skip
def test_budgets_have_units(tmp_path: Path, setting: str, value: object, number: float) -> None:
    plan = read(tmp_path, overrides=[f"budget.{setting}={value}"])
    assert getattr(plan.study.budget, setting) == number
    assert plan.study.budget.is_set
    assert not read(tmp_path).study.budget.is_set


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("budget.wall=2 weeks", "s, min, h, d"),
        ("budget.energy=3 kw", "J, kJ, MJ, Wh, kWh"),
        ("budget.wall=0", "greater than 0"),
        ("budget.trials=0", "1"),
        ("budget.joules=5", "energy"),
        ("grid_g_per_kwh=-1", "grid_g_per_kwh"),
    ],
)
def test_a_budget_that_is_none_is_refused_with_its_place_and_the_units(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(StudyError, match=override.partition("=")[0]) as error:
        read(tmp_path, overrides=[override])
    assert said in str(error.value)


def test_a_plan_is_set_against_its_budget() -> None:
    asked = Used(3600.0, 2.0, None, 40)
    assert against(Budget(), asked) is None
    assert against(Budget(wall=7200.0, node_hours=1.0, energy=5000.0, trials=40), asked) == (
        "wall 2 h: enough; node hours 1: it stops on the way; energy 5 kJ: nobody knows whether that is enough; trials 40: enough"
    )


def test_what_is_not_measured_passes_no_budget() -> None:
    budget = Budget(wall=10.0, node_hours=1.0, energy=100.0, trials=3)
    assert passed(budget, Used(9.9, 0.5, None, 2)) == []
    assert passed(budget, Used(10.0, 0.5, 101.0, 3)) == ["wall", "energy", "trials"]
    assert passed(Budget(), Used(1e9, 1e9, 1e9, 10**9)) == []


def test_all_runs_of_a_study_count(ledger: Ledger, plan: Plan) -> None:
    save_run(ledger.directory, RunUse(1, 100.0, 160.0, node_s=120.0))
    save_run(ledger.directory, RunUse(2, 1000.0, 1040.0, node_s=40.0))
    node(ledger, "n1")
    launch(ledger, "p", 10, 20, [])
    finish(ledger, plan.trials[0], 0.5)
    fail(ledger, plan.trials[1], "diverged")
    fail(ledger, plan.trials[2], "killed")
    totals = used(Budget(energy=1e9), ledger.directory, ledger.records(plan.trials))
    assert (totals.wall_s, totals.node_hours, totals.trials) == (100.0, 160 / 3600, 2), "a killed trial is tried again"
    assert totals.energy_j == pytest.approx(10 * WATTS)


def test_what_a_budget_allows(ledger: Ledger, plan: Plan) -> None:
    directory = ledger.directory
    finish(ledger, plan.trials[0], 0.5)
    records = ledger.records(plan.trials)
    assert allowed(Budget(), directory, records) == list(plan.trials[1:])
    assert allowed(Budget(trials=4), directory, records) == list(plan.trials[1:4])
    assert allowed(Budget(trials=1), directory, records) == []
    save_run(directory, RunUse(1, 0.0, 60.0))
    assert allowed(Budget(wall=60.0), directory, records) == []
    assert allowed(Budget(wall=61.0), directory, records) == list(plan.trials[1:])
    said = ended_by(Budget(wall=60.0, trials=4), directory, records)
    assert said == (
        f"the budget ends it: wall 60 s of 60 s and trials 1 of 4; {len(plan.trials) - 1} trials owed. "
        "Go on with more, e.g. --set budget.wall=..."
    )
    assert "budget.trials=..." in str(ended_by(Budget(wall=600.0, trials=1), directory, records)), "what is used up is to be raised"
    launch(ledger, "p", 0, 10, [])
    assert "--set budget.energy=null" in str(ended_by(Budget(energy=1.0), directory, records)), "no other number would help"
    assert ended_by(Budget(), directory, records) is None


def test_the_first_of_time_and_node_hours_is_the_deadline() -> None:
    totals = Used(100.0, 0.5, None, 0)
    assert deadline(Budget(), totals, 4, 1000.0) is None
    assert deadline(Budget(wall=400.0), totals, 4, 1000.0) == 1300.0
    assert deadline(Budget(wall=4000.0, node_hours=1.0), totals, 4, 1000.0) == 1000.0 + 1800 / 4


def test_a_pack_is_begun_only_if_it_will_end_in_time(tmp_path: Path) -> None:
    limits = Limits(Budget(wall=60.0), time.time() + 30)
    assert why_no_room(tmp_path, limits, 20.0, 1) is None
    assert why_no_room(tmp_path, limits, 40.0, 1) == Cause.BUDGET
    assert why_no_room(tmp_path, limits, None, 1) is None, "what is not known is tried"
    assert why_no_room(tmp_path, Limits(Budget(wall=60.0), time.time() - 1), None, 1) == Cause.BUDGET


def test_a_pack_is_begun_only_if_its_joules_and_those_running_are_left(ledger: Ledger) -> None:
    def why(energy_j: float, expected_s: float) -> str | None:
        save_run(ledger.directory, RunUse(1, 0.0, 100.0, spent_j=study_j(ledger.directory)))
        return why_no_room(ledger.directory, Limits(Budget(energy=energy_j), None), expected_s, 1)

    assert why(1.0, 1e6) is None, "before anything has run, nobody knows what it takes"
    node(ledger, "n1")
    launch(ledger, "p", 0, 90, [])
    launch(ledger, "lost", 90, None, [])
    launch(ledger, "lost", 100, 100, [])
    assert why(101 * WATTS, 0.5) is None
    assert why(101 * WATTS, 1.5) == Cause.BUDGET
    assert why(100 * WATTS, 0.0) == Cause.BUDGET
    launch(ledger, "running", 100, None, [], expected_s=time.time() - 100 + 1000)
    assert why(600 * WATTS, 0.5) == Cause.BUDGET, "what goes on is expected to take 1,000 s more"
    assert why(1200 * WATTS, 0.5) is None
    (ledger.directory / "energy" / "0000001-n1.json").unlink()
    assert why(1e9, 0.0) == Cause.BUDGET, "nobody knows what is left"


def test_a_check_that_fails_is_noticed_until_one_succeeds(tmp_path: Path) -> None:
    def nodes() -> int:
        if away:
            raise ConnectionError("Ray is away")
        return 1

    away = False
    guard = BudgetGuard(tmp_path, 1, Budget(), nodes)
    away = True
    guard.check()
    assert [notice.text for notice in notices(tmp_path)] == [f"{NOT_ENFORCED}: Ray is away"]
    away = False
    guard.check()
    assert notices(tmp_path) == []
    assert runs_used(tmp_path)[0].wall_s > 0


def test_a_run_is_stopped_when_its_budget_is_used_up_and_its_record_outlives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr(time, "time", lambda: now_s)
    stopped: list[str] = []
    with BudgetGuard(tmp_path, 1, Budget(node_hours=10 / 3600), lambda: 4).watch(stopped.append) as guard:
        assert runs_used(tmp_path)[0].run == 1, "it is known from the beginning"
        now_s += 2.0
        guard.check()
        assert stopped == [], "8 node-seconds of 10"
        now_s += 2.0
        guard.check()
        assert stopped == [Cause.BUDGET]
    (run,) = runs_used(tmp_path)
    assert run.node_s == 4 * run.wall_s == 16
    assert read_json(tmp_path / "usage" / "0000001.json", "")["begin_s"] == run.begin_s == 1000
