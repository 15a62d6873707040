"""What was sent to MLflow is remembered by place and by content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.tracking.sync_state import SyncState
from tests.support.studies import entered


@pytest.fixture
def ledger(tmp_path: Path, plan: Plan) -> Ledger:
    ledger = entered(tmp_path / "run", plan)
    ledger.files(plan.trials[0]).append("started", pack="p", host="here")
    return ledger


def test_a_trial_whose_files_grow_is_to_be_sent_again(ledger: Ledger, plan: Plan) -> None:
    state, trial = SyncState(ledger, "uri"), plan.trials[0]
    assert state.content(plan.trials[1]) == "", "it has not begun"
    before = state.content(trial)
    state.keep(trial, before, complete=False)
    assert state.has(trial, before)
    assert not state.complete(trial)
    ledger.files(trial).append("done", seconds=1.0)
    assert not state.has(trial, state.content(trial))


def test_each_mlflow_has_a_memory_of_its_own(ledger: Ledger, plan: Plan) -> None:
    trial, first = plan.trials[0], SyncState(ledger, "first")
    first.keep(trial, first.content(trial), complete=True)
    first.save()
    second = SyncState(ledger, "second")
    assert not second.complete(trial)
    second.keep(trial, second.content(trial), complete=True)
    second.save()
    again = SyncState(ledger, "first")
    assert again.complete(trial)
    again.forget()
    again.save()
    assert not SyncState(ledger, "first").complete(trial)
    assert SyncState(ledger, "second").complete(trial)


@pytest.mark.parametrize("sent", [{"content": "as before", "complete": True}, None])
def test_files_of_earlier_versions_are_read_until_there_is_a_new_one(ledger: Ledger, plan: Plan, sent: object) -> None:
    trial = plan.trials[0]
    former = {"uri": {trial.digest: sent} if sent else [trial.digest]}  # once it was a list of what was complete
    (ledger.directory / "shipped.json").write_text(json.dumps(former))
    state = SyncState(ledger, "uri")
    assert state.complete(trial) == (sent is not None)
    state.forget()
    state.save()
    assert not SyncState(ledger, "uri").complete(trial)
