"""What is recorded of a trial in training: its result, its failures and its time."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from hadamard.model.errors import DataError, DivergedError
from hadamard.model.files import correct_bits
from hadamard.model.files.trial_files import TrialFiles
from hadamard.model.heads.base import Score
from hadamard.model.settings import Fold
from hadamard.model.training.trial_run import TrialRun, record_failure, split_wall_time
from hadamard.model.trial import Trial, TrialSettings


def trial(fold: Fold | None = None) -> Trial:
    return Trial(
        key="r01-s0-abc",
        arm="r01",
        fold=fold,
        settings=TrialSettings(),
        data_hash="d",
        sentence_encoder_hash="e",
        split=0,
        split_seed=1,
        seed=2,
    )


@pytest.fixture
def files(tmp_path: Path) -> TrialFiles:
    (tmp_path / "trial").mkdir()
    return TrialFiles(tmp_path / "trial")


def score(loss: float | None, *correct: bool) -> Score:
    return Score(loss, np.array(correct))


SCORES = [score(0.5, True, True), score(0.6, True, False), score(0.7, False, False, True, True, True)]


def test_a_result_holds_responses_and_which_test_sentences_were_correct(files: TrialFiles) -> None:
    run = TrialRun(files, trial(), seconds=1.5)
    files.checkpoint.touch()
    run.start("pack-1")
    run.finish(SCORES, parameters=7, simulator="compiled")
    result = json.loads(files.result.read_text())
    assert result["responses"] == {
        "train_accuracy": 1.0, "train_loss": 0.5,
        "validation_accuracy": 0.5, "validation_loss": 0.6,
        "test_accuracy": 0.6, "test_loss": 0.7,
    }  # fmt: skip
    assert (result["key"], result["parameters"], result["simulator"]) == ("r01-s0-abc", 7, "compiled")
    assert correct_bits.from_text(result["test_right"]).tolist() == [False, False, True, True, True]
    assert [event["event"] for event in files.events()] == ["started", "done"]
    assert files.events()[0]["pack"] == "pack-1"
    assert files.events()[1]["seconds"] == 1.5
    assert not run.is_open
    assert not files.checkpoint.exists()


def test_a_folds_result_has_nothing_of_a_test_set(files: TrialFiles) -> None:
    TrialRun(files, trial(Fold(repeat=0, index=0, of=2))).finish(SCORES[:2], parameters=7, simulator=None)
    result = json.loads(files.result.read_text())
    assert list(result["responses"]) == ["train_accuracy", "train_loss", "validation_accuracy", "validation_loss"]
    assert "test_right" not in result


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_a_failure_and_leaves_no_result(files: TrialFiles, loss: float) -> None:
    run = TrialRun(files, trial())
    run.finish([*SCORES[:2], score(loss, True)], parameters=7, simulator="compiled")
    assert not files.result.exists()
    assert not run.is_open
    assert files.events()[-1]["cause"] == "diverged"


def test_a_head_without_probabilities_has_no_loss(files: TrialFiles) -> None:
    TrialRun(files, trial()).finish([score(None, True)] * 3, parameters=7, simulator=None)
    assert json.loads(files.result.read_text())["responses"]["test_loss"] is None


@pytest.mark.parametrize(
    ("error", "cause", "message"),
    [
        (DivergedError("the training loss became nan"), "diverged", "the training loss became nan"),
        (DataError("no file"), "bad input", "no file"),
        (MemoryError("8 TiB"), "out of memory", "smaller training.batch need less (8 TiB)"),
        (KeyError(), "error", "KeyError"),
        (ValueError("x" * 9000), "error", "x" * 2000),
    ],
)
def test_failures_have_a_cause_a_message_and_the_end_of_their_traceback(
    files: TrialFiles, error: Exception, cause: str, message: str
) -> None:
    try:
        raise error
    except Exception as raised:
        record_failure(files, raised)
    event = files.events()[-1]
    assert (event["event"], event["cause"]) == ("failed", cause)
    assert event["message"].endswith(message)
    assert type(error).__name__ in event["traceback"] or len(event["traceback"]) == 4000


def test_wall_time_is_divided_equally_and_added(files: TrialFiles) -> None:
    runs = [TrialRun(files, trial(), seconds=seconds) for seconds in (0.0, 5.0)]
    share = split_wall_time(runs, time.perf_counter() - 8.0)
    assert share == pytest.approx(4.0, abs=0.5)
    assert [run.seconds for run in runs] == [share, 5.0 + share]
