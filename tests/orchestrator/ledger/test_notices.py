"""Notices: what does not work in a study, as long as it does not."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from hadamard.cluster.energy.recorder import files
from hadamard.model.errors import LedgerError
from hadamard.orchestrator.ledger.notices import noticed, notices, post, withdraw, withdraw_all


def test_a_notice_keeps_its_time_takes_new_words_and_goes_when_it_is_withdrawn(tmp_path: Path) -> None:
    assert notices(tmp_path) == []
    post(tmp_path, "MLflow", "it is down")
    (first,) = notices(tmp_path)
    post(tmp_path, "MLflow", "it hangs")
    (second,) = notices(tmp_path)
    assert (second.name, second.text, second.since_s) == ("MLflow", "it hangs", first.since_s)
    withdraw(tmp_path, "MLflow")
    withdraw(tmp_path, "MLflow")
    assert notices(tmp_path) == []


def test_what_fails_is_logged_and_noticed_until_it_works_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        with noticed(tmp_path, "budget", "the budget is not enforced"):
            raise ValueError("Ray is away")
    assert [notice.text for notice in notices(tmp_path)] == ["the budget is not enforced: Ray is away"]
    with noticed(tmp_path, "budget", "the budget is not enforced"):
        pass
    assert notices(tmp_path) == []
    assert [record.getMessage() for record in caplog.records] == ["the budget is not enforced: ValueError: Ray is away"], "once"


def test_a_meter_that_died_in_the_last_run_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "energy").mkdir()
    for run, host, died in ((1, "n1", "old"), (2, "n1", None), (2, "n2", "the counter is gone")):
        files(tmp_path, run, host)[1].write_text(json.dumps({"host": host, "died": died}))
    assert [(notice.name, notice.text) for notice in notices(tmp_path)] == [
        ("meter of n2", "the meter of n2 is silent, its joules are not measured: the counter is gone")
    ]


def test_a_study_that_cannot_be_written_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "notices").write_text("no directory")
    post(tmp_path, "budget", "not enforced")
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize("damaged", ["{", '{"text": "not enforced"}'])
def test_a_damaged_notice_is_named_and_goes_with_the_next_run(damaged: str, tmp_path: Path) -> None:
    post(tmp_path, "budget", "not enforced")
    (tmp_path / "notices" / "budget.json").write_text(damaged)
    with pytest.raises(LedgerError, match=r"budget\.json.* damaged"):
        notices(tmp_path)
    post(tmp_path, "budget", "still not enforced")
    withdraw_all(tmp_path)
    assert notices(tmp_path) == []
