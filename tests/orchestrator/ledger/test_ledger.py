"""The ledger: who may use a directory, and what is done and owed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hadamard.model.errors import LedgerError
from hadamard.orchestrator.ledger.ledger import Ledger, explained_disk_errors
from hadamard.orchestrator.ledger.reopen import reopen
from hadamard.orchestrator.study.expansion import Plan
from tests.support.studies import entered


@pytest.fixture
def ledger(tmp_path: Path, plan: Plan) -> Ledger:
    return entered(tmp_path / "run", plan)


def test_the_study_comes_back_as_it_was(ledger: Ledger, plan: Plan) -> None:
    assert Ledger.existing(ledger.directory).load_study() == plan.study


def test_states_follow_the_files(ledger: Ledger, plan: Plan) -> None:
    done, failed, diverged, broken, untouched, stopped = plan.trials[:6]
    ledger.files(done).append("started")
    ledger.files(done).result.write_text('{"responses": {}, "parameters": 1}')
    for trial, cause in ((failed, "killed"), (diverged, "diverged")):
        ledger.files(trial).append("started")
        ledger.files(trial).append("failed", cause=cause, message="why")
    ledger.files(broken).append("started")
    ledger.files(stopped).append("started")
    ledger.files(stopped).append("stopped", cause="timeout")
    records = ledger.records(plan.trials[:6])
    assert [record.status for record in records] == ["done", "failed", "failed", "owed", "owed", "owed"]
    assert [record.owed for record in records] == [False, True, False, True, True, True]
    assert records[1].cause == "killed"
    with ledger.owned():
        assert ledger.driven()
        assert ledger.record(broken).status == "running"
        assert ledger.record(untouched).status == "owed"
        assert ledger.record(stopped).status == "owed"


def test_who_drives_a_study_is_asked_once_for_all_its_trials(ledger: Ledger, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def driven() -> bool:
        asked.append("once")
        return True

    monkeypatch.setattr(ledger, "driven", driven)
    assert {record.status for record in ledger.records(plan.trials)} == {"owed"}
    assert not asked
    for trial in plan.trials:
        ledger.files(trial).append("started")
    assert {record.status for record in ledger.records(plan.trials)} == {"running"}
    assert asked == ["once"]


def test_a_trial_keeps_its_directory_when_its_row_gets_another_number(ledger: Ledger, plan: Plan) -> None:
    trial = plan.trials[0]
    renumbered = trial.model_copy(update={"key": "r99" + trial.key[3:], "arm": "r99"})
    assert Ledger(ledger.directory).files(renumbered).directory == ledger.files(trial).directory


def test_two_drivers_never_write_one_ledger(ledger: Ledger) -> None:
    code = "from pathlib import Path; from hadamard.orchestrator.ledger.ledger import Ledger\n"
    code += f"with Ledger(Path({str(ledger.directory)!r})).owned(): pass"
    with ledger.owned():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"{ledger.directory} is being run by process {os.getpid()} on " in done.stderr
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_another_studys_directory_is_refused(ledger: Ledger, plan: Plan) -> None:
    other = plan.study.model_copy(update={"study": "other"})
    with pytest.raises(LedgerError, match="belongs to the study 'tiny', not 'other'"):
        ledger.check(other, 1)
    ledger.check(plan.study, 1)


def test_a_directory_that_is_no_study_is_refused_and_left_alone(tmp_path: Path, plan: Plan) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(LedgerError, match="is not a study's directory"):
        Ledger(tmp_path / "home").check(plan.study, 1)
    with pytest.raises(LedgerError, match="no study.json"):
        Ledger.existing(tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_a_directory_left_by_a_run_that_was_killed_at_once_is_used(tmp_path: Path, plan: Plan) -> None:
    (tmp_path / "run" / "trials").mkdir(parents=True)
    (tmp_path / "run" / "owner").mkdir()
    (tmp_path / "run" / "jobs").mkdir()
    Ledger(tmp_path / "run").check(plan.study, 1)


def test_an_unwritable_place_is_refused(tmp_path: Path, plan: Plan) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="cannot be written: .*Not a directory"):
        Ledger(tmp_path / "file" / "run").check(plan.study, 1)
    with pytest.raises(LedgerError, match="cannot be written: /proc"):
        Ledger(Path("/proc/none/run")).check(plan.study, 1)


def test_a_disk_too_full_for_what_is_owed_is_refused(tmp_path: Path, plan: Plan) -> None:
    with pytest.raises(LedgerError, match=r"the disk has .* MiB free, 1000000000000 trials need"):
        Ledger(tmp_path / "run").check(plan.study, 10**12)
    assert not (tmp_path / "run").exists()


def test_a_disk_that_fills_up_on_the_way_is_explained(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="No space left on device. Finished trials are safe"), explained_disk_errors(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(LedgerError, match=f"{tmp_path}: No space left"), explained_disk_errors(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "trials" / "one" / "result.json"))
    with pytest.raises(FileNotFoundError), explained_disk_errors(tmp_path):
        raise FileNotFoundError


def test_the_place_that_failed_is_named_and_not_the_one_that_was_expected_to(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="^/tmp/elsewhere: Permission denied"), explained_disk_errors(tmp_path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/tmp/elsewhere")


def test_a_damaged_result_is_named(ledger: Ledger, plan: Plan) -> None:
    ledger.files(plan.trials[0]).result.write_text("{")
    with pytest.raises(LedgerError, match=rf"{plan.trials[0].key}/result\.json:1: damaged"):
        ledger.records(plan.trials)


def test_a_study_json_that_is_damaged_or_of_another_version_has_a_way_back(ledger: Ledger, plan: Plan) -> None:
    whole = ledger.study_file.read_text()
    for broken, expected in (
        (whole[:100], "damaged"),
        ("[]", "not a JSON object"),
        (whole.replace('"trials"', '"others"'), "another version"),
        (whole.replace('"seed"', '"sead"', 1), "does not hold what it should"),
    ):
        ledger.study_file.write_text(broken)
        with pytest.raises(LedgerError, match=rf"study\.json.*{expected}.*Delete it and give the same `hadamard run` again"):
            reopen(ledger.directory)
    ledger.study_file.unlink()
    Ledger(ledger.directory).check(plan.study, 1)


def test_a_deleted_trial_is_named_by_reopening_and_entered_again_by_running(ledger: Ledger, plan: Plan) -> None:
    shutil.rmtree(ledger.files(plan.trials[0]).directory)
    with pytest.raises(LedgerError, match=r"trial\.json: is missing"):
        reopen(ledger.directory)
    Ledger(ledger.directory).enter(plan.trials)
    assert reopen(ledger.directory)[1] == plan


def test_a_damaged_description_of_a_trial_is_mended_by_running_again(ledger: Ledger, plan: Plan) -> None:
    for damage in (b"\xff\xfe", b"{"):
        ledger.files(plan.trials[0]).trial.write_bytes(damage)
        ledger.enter(plan.trials)
        assert ledger.load_trials() == list(plan.trials)
