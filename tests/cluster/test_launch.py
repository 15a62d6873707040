"""Launching a pack, naming how it ended, and trying again as the cause allows."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hadamard.cluster import launch
from hadamard.cluster.launch import Outcome, outcome
from hadamard.model.files.causes import Cause
from hadamard.model.files.trial_files import PackFiles, TrialFiles
from hadamard.orchestrator.execution.retry_policy import LOST, run_with_retries


@pytest.mark.parametrize(
    ("returncode", "cause"),
    [
        (0, None),
        (1, "error"),
        (2, "bad input"),
        (12, "out of memory"),
        (28, "disk full"),
        (76, "killed"),
        (-9, "killed"),
        (-15, "killed"),
        (-11, "crashed"),
        (-6, "crashed"),
        (255, "error"),
        (-127, "error"),
    ],
)
def test_exit_codes_and_signals_name_their_cause(returncode: int, cause: str | None) -> None:
    assert outcome(returncode, "tail").cause == cause


@pytest.mark.parametrize(
    ("returncode", "cause"),
    [(0, None), (76, "stopped"), (-15, "stopped"), (-9, "stopped"), (-11, "crashed"), (28, "disk full"), (1, "error")],
)
def test_a_process_that_was_told_to_stop_has_stopped_unless_it_was_done_or_something_went_wrong(returncode: int, cause: str | None) -> None:
    ended = outcome(returncode, "tail", stop="timeout")
    assert ended.cause == cause
    assert (ended.message == "timeout") is (cause == "stopped")


def test_a_kill_for_want_of_memory_is_told_from_others_by_the_kernels_count() -> None:
    assert outcome(-9, "", oom=True).cause == "out of memory"
    assert outcome(-9, "", stop="timeout", oom=True).cause == "out of memory"
    assert outcome(-11, "", oom=True).cause == "crashed", "another process was killed then"


def pack(tmp_path: Path, trials: int) -> tuple[Path, list[TrialFiles]]:
    directory = tmp_path / "packs" / "p"
    directory.mkdir(parents=True)
    files = [TrialFiles(tmp_path / "trials" / f"t{index}") for index in range(trials)]
    for one in files:
        one.directory.mkdir(parents=True)
    PackFiles(directory).write(files)
    return directory, files


def test_a_real_process_is_run_in_the_pack_directory_and_its_log_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _ = pack(tmp_path, 1)
    code = "import os, sys; print('threads', os.environ['OMP_NUM_THREADS'], 'in', os.getcwd()); sys.exit('too bad')"
    monkeypatch.setattr(launch, "command", lambda path, threads, ranks=1, shards=1: [sys.executable, "-c", code])
    ended = launch.run_pack(directory, tmp_path, 1, 0, lambda: None, lambda: None)
    assert ended.cause == "error"
    assert "too bad" in ended.message
    assert f"threads 1 in {tmp_path}" in (directory / "log.txt").read_text()


@pytest.mark.parametrize(("gpus", "seen"), [(1, "3"), (0, "")])
def test_a_pack_without_a_gpu_sees_none_and_one_with_sees_those_of_its_worker(
    gpus: int, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mask in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.setenv(mask, "3")
        assert launch.environment(1, gpus)[mask] == seen


PARENT = """
import sys, time
from pathlib import Path
from hadamard.cluster import launch
code = r"import os, time; open('{marker}', 'w').write(str(os.getpid())); time.sleep(300)"
launch.command = lambda path, threads, ranks=1, shards=1: [sys.executable, "-c", code]
launch.run_pack(Path(r"{directory}"), Path("."), 1, 0, lambda: None, lambda: None)
"""


def test_the_process_dies_with_the_one_that_launched_it_even_by_kill_9(tmp_path: Path) -> None:
    directory, _ = pack(tmp_path, 1)
    marker = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(marker=marker, directory=directory)])
    until(lambda: marker.exists() and marker.read_text() != "")
    child = int(marker.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: not _alive(child))


STOPPABLE = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, lambda *_: {on_sigterm})
Path(r"{marker}").touch()
time.sleep(300)
"""


@pytest.mark.parametrize(("on_sigterm", "cause"), [("sys.exit(76)", "stopped"), ("None", "stopped"), ("sys.exit(0)", None)])
def test_a_process_is_told_to_stop_has_its_time_for_it_and_is_killed_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_sigterm: str, cause: str | None
) -> None:
    directory, _ = pack(tmp_path, 1)
    marker = tmp_path / "ready"
    code = STOPPABLE.format(on_sigterm=on_sigterm, marker=marker)
    monkeypatch.setattr(launch, "command", lambda path, threads, ranks=1, shards=1: [sys.executable, "-c", code])
    monkeypatch.setattr(launch, "STOP_GRACE_S", 2.0)
    begin = time.monotonic()
    ended = launch.run_pack(directory, tmp_path, 1, 0, lambda: None, lambda: "preempted" if marker.exists() else None)
    assert ended == Outcome(cause, "preempted" if cause else "")  # type: ignore[arg-type]
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize(("words", "cause"), [([None, None, None, "cancelled"], "stopped"), ([None], "killed")])
def test_the_word_of_a_stop_may_come_after_the_signal_that_slurm_sends_to_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str | None], cause: str
) -> None:
    directory, _ = pack(tmp_path, 1)
    monkeypatch.setattr(launch, "command", lambda path, threads, ranks=1, shards=1: [sys.executable, "-c", "import sys; sys.exit(76)"])
    monkeypatch.setattr(launch, "LATE_REASON_S", 1.0)
    said = iter(words)
    assert launch.run_pack(directory, tmp_path, 1, 0, lambda: None, lambda: next(said, words[-1])).cause == cause


def test_ctrl_c_in_a_terminal_does_not_reach_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _ = pack(tmp_path, 1)
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    monkeypatch.setattr(launch, "command", lambda path, threads, ranks=1, shards=1: [sys.executable, "-c", code])
    assert launch.run_pack(directory, tmp_path, 1, 0, lambda: None, lambda: None).cause is None


class Script:
    """Plays the training process: each launch does the next thing of a script, over the trials that are left."""

    def __init__(self, directory: Path, *steps: Callable[[list[TrialFiles]], Outcome]) -> None:
        self.directory = directory
        self.steps = list(steps)
        self.left: list[list[str]] = []

    def __call__(self) -> Outcome:
        files = PackFiles(self.directory).trials
        self.left.append([one.directory.name for one in files])
        return self.steps.pop(0)(files)


def again(
    directory: Path, script: Script, stop_reason: Callable[[], str | None] = lambda: None, lost: str | None = None, run: int = 1
) -> str | None:
    return run_with_retries(directory, script, stop_reason, lost, run)


def finish(files: TrialFiles) -> None:
    files.append("started")
    files.result.write_text("{}")
    files.append("done")


def all_done(files: list[TrialFiles]) -> Outcome:
    for one in files:
        finish(one)
    return Outcome(None, "")


def test_a_killed_process_fails_the_trial_in_training_and_is_launched_again(tmp_path: Path) -> None:
    directory, files = pack(tmp_path, 3)

    def dies_in_second(left: list[TrialFiles]) -> Outcome:
        finish(left[0])
        left[1].append("started")
        return Outcome(Cause.KILLED, "killed by SIGKILL")

    script = Script(directory, dies_in_second, all_done)
    again(directory, script)
    assert script.left == [["t0", "t1", "t2"], ["t1", "t2"]]
    assert [event["event"] for event in files[1].events()] == ["started", "failed", "started", "done"]
    assert all(one.result.exists() for one in files)


def test_trials_that_died_together_are_tried_again_one_by_one_and_only_the_culprit_fails(tmp_path: Path) -> None:
    directory, files = pack(tmp_path, 3)

    def dies_together(left: list[TrialFiles]) -> Outcome:
        assert not PackFiles(directory).alone
        for one in left:
            one.append("started")
            one.append("epoch", epoch=1)
        return Outcome(Cause.CRASHED, "ended by SIGSEGV")

    def dies_in_second(left: list[TrialFiles]) -> Outcome:
        assert PackFiles(directory).alone == {one.directory for one in left}
        finish(left[0])
        left[1].append("started")
        return Outcome(Cause.CRASHED, "ended by SIGSEGV")

    script = Script(directory, dies_together, dies_in_second, all_done)
    again(directory, script)
    assert script.left == [["t0", "t1", "t2"], ["t0", "t1", "t2"], ["t2"]]
    assert [one.result.exists() for one in files] == [True, False, True]
    assert [event["event"] for event in files[1].events()] == ["started", "epoch", "failed", "started", "failed"]


def test_memory_that_was_too_little_together_is_tried_one_by_one(tmp_path: Path) -> None:
    directory, files = pack(tmp_path, 2)

    def too_large(left: list[TrialFiles]) -> Outcome:
        for one in left:
            one.append("started")
            one.append("failed", cause="out of memory", message="not enough memory")
        return Outcome(None, "")

    script = Script(directory, too_large, all_done)
    again(directory, script)
    assert script.left == [["t0", "t1"]] * 2
    assert PackFiles(directory).alone == {one.directory for one in files}
    assert all(one.result.exists() for one in files)


def test_what_was_not_begun_when_the_process_died_is_still_trained_together(tmp_path: Path) -> None:
    directory, files = pack(tmp_path, 3)

    def dies_in_first(left: list[TrialFiles]) -> Outcome:
        left[0].append("started")
        return Outcome(Cause.KILLED, "killed by SIGKILL")

    again(directory, Script(directory, dies_in_first, all_done))
    assert PackFiles(directory).alone == {files[0].directory}


def test_a_pack_that_goes_on_elsewhere_records_no_failure_of_what_is_done(tmp_path: Path) -> None:
    directory, files = pack(tmp_path, 2)
    finish(files[0])
    script = Script(directory, lambda left: Outcome(Cause.ERROR, "cannot import torch"))
    again(directory, script)
    assert script.left == [["t1"]]
    assert [one.events()[-1]["event"] for one in files] == ["done", "failed"]


def test_retries_end_and_the_other_trials_go_on(tmp_path: Path) -> None:
    directory, files = pack(tmp_path, 2)

    def dies_in_first(left: list[TrialFiles]) -> Outcome:
        left[0].append("started")
        return Outcome(Cause.KILLED, "killed by SIGKILL")

    script = Script(directory, *[dies_in_first] * (Cause.KILLED.retries + 1), all_done)
    again(directory, script)
    assert script.left == [["t0", "t1"]] * 3 + [["t1"]]
    assert files[0].events()[-1]["cause"] == "killed"
    assert files[1].result.exists()


def test_a_recorded_failure_that_would_repeat_itself_is_not_tried_again(tmp_path: Path) -> None:
    directory, _ = pack(tmp_path, 2)

    def diverges(left: list[TrialFiles]) -> Outcome:
        left[0].append("started")
        left[0].append("failed", cause="diverged", message="nan")
        finish(left[1])
        return Outcome(None, "")

    script = Script(directory, diverges)
    again(directory, script)
    assert script.left == [["t0", "t1"]]


@pytest.mark.parametrize("cause", LOST)
def test_an_attempt_that_recorded_no_end_fails_by_the_end_of_its_worker(tmp_path: Path, cause: Cause) -> None:
    directory, files = pack(tmp_path, 2)
    files[0].append("started")
    files[0].append("epoch", epoch=1)
    again(directory, Script(directory, all_done), lost=cause)
    assert [event["event"] for event in files[0].events()] == ["started", "epoch", "failed", "started", "done"]
    assert files[0].events()[2]["cause"] == cause
    assert [event["event"] for event in files[1].events()] == ["started", "done"]


def test_trials_are_lost_so_often_in_a_run_and_then_left_to_the_next_one(tmp_path: Path) -> None:
    directory, files = pack(tmp_path, 2)
    for _ in range(Cause.NODE_LOST.retries):
        files[0].append("started")
        again(directory, Script(directory, lambda left: Outcome(Cause.DISK_FULL, "")), lost=Cause.NODE_LOST, run=3)
    for run, goes_on in ((3, False), (4, True)):
        PackFiles(directory).write(files)
        files[0].append("started")
        script = Script(directory, lambda left: Outcome(Cause.DISK_FULL, ""))
        again(directory, script, lost=Cause.NODE_LOST, run=run)
        assert script.left == [["t0", "t1"] if goes_on else ["t1"]]


def test_a_worker_that_dies_before_its_first_trial_is_not_replaced_for_ever(tmp_path: Path) -> None:
    directory, _ = pack(tmp_path, 1)
    launches: list[int] = []
    for _ in range(10):
        script = Script(directory, lambda left: Outcome(Cause.DISK_FULL, ""))
        again(directory, script, lost=Cause.WORKER_LOST)
        launches.append(len(script.left))
    assert launches == [1] * Cause.WORKER_LOST.retries + [0] * (10 - Cause.WORKER_LOST.retries)


def stopped_in_second(left: list[TrialFiles]) -> Outcome:
    finish(left[0])
    left[1].append("started")
    left[1].append("epoch", epoch=4)
    return Outcome(Cause.STOPPED, "timeout")


def test_a_stop_fails_nobody_and_leaves_alone_what_was_not_begun(tmp_path: Path) -> None:
    directory, files = pack(tmp_path, 3)
    assert again(directory, Script(directory, stopped_in_second)) == "timeout"
    assert [event["event"] for event in files[1].events()] == ["started", "epoch", "stopped"]
    assert files[1].events()[-1]["cause"] == "timeout"
    assert files[2].events() == []
    script = Script(directory, all_done)
    assert again(directory, script) is None
    assert script.left == [["t1", "t2"]]
    assert not PackFiles(directory).alone, "a stop is nobody's fault"


def test_a_driver_that_took_over_has_closed_the_attempts_itself(tmp_path: Path) -> None:
    directory, files = pack(tmp_path, 2)

    def superseded(left: list[TrialFiles]) -> Outcome:
        left[0].append("started")
        return Outcome(Cause.STOPPED, "superseded")

    assert again(directory, Script(directory, superseded)) == "superseded"
    assert [event["event"] for event in files[0].events()] == ["started"]


def test_how_a_process_ended_is_not_told_once_another_driver_has_the_study(tmp_path: Path) -> None:
    directory, files = pack(tmp_path, 2)

    def crashes(left: list[TrialFiles]) -> Outcome:
        left[0].append("started")
        return Outcome(Cause.CRASHED, "ended by SIGSEGV")

    script = Script(directory, crashes)
    assert again(directory, script, stop_reason=lambda: "superseded" if script.left else None) == "superseded"
    assert [event["event"] for one in files for event in one.events()] == ["started"]


def test_while_stopping_nothing_is_launched(tmp_path: Path) -> None:
    directory, files = pack(tmp_path, 2)
    assert again(directory, Script(directory), stop_reason=lambda: "left") == "left"

    def dies_in_first(left: list[TrialFiles]) -> Outcome:
        left[0].append("started")
        return Outcome(Cause.KILLED, "killed by SIGKILL")

    script = Script(directory, dies_in_first)
    assert again(directory, script, stop_reason=lambda: "timeout" if script.left else None) == "timeout"
    assert [event["event"] for event in files[0].events()] == ["started", "failed"]


def test_a_process_that_dies_before_its_first_trial_is_not_launched_for_ever(tmp_path: Path) -> None:
    directory, files = pack(tmp_path, 2)
    script = Script(directory, *[lambda left: Outcome(Cause.KILLED, "killed by SIGKILL")] * 6)
    again(directory, script)
    assert [[event["cause"] for event in one.events()] for one in files] == [["killed"] * (1 + Cause.KILLED.retries)] * 2


@pytest.mark.parametrize("cause", [Cause.ERROR, Cause.BAD_INPUT])
def test_a_launch_that_cannot_begin_and_would_not_again_fails_all_trials_at_once(tmp_path: Path, cause: Cause) -> None:
    directory, files = pack(tmp_path, 50)
    again(directory, Script(directory, lambda left: Outcome(cause, "50 ranks did not meet")))
    assert [[event["cause"] for event in one.events()] for one in files] == [[cause]] * 50


def test_an_error_between_trials_fails_the_next_one_and_the_others_go_on(tmp_path: Path) -> None:
    directory, files = pack(tmp_path, 3)

    def ends_after_first(left: list[TrialFiles]) -> Outcome:
        finish(left[0])
        return Outcome(Cause.ERROR, "exit code 1")

    again(directory, Script(directory, ends_after_first, all_done))
    assert [one.events()[-1]["event"] for one in files] == ["done", "failed", "done"]


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
