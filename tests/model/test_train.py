"""Training a pack for real: a trial's numbers are its own, whatever is trained with it and whatever interrupts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from hadamard.model import train
from hadamard.model.errors import EXIT_STOPPED, StopRequest
from hadamard.model.files.atomic import write_atomically
from hadamard.model.files.trial_files import PackFiles, TrialFiles
from hadamard.model.heads.logistic import LogisticHead
from hadamard.model.heads.mlp import MlpHead
from hadamard.model.heads.quantum.settings import Noise, QuantumHead
from hadamard.model.training import batch_trainer
from hadamard.model.training.trial_run import TrialRun
from hadamard.model.trial import Trial
from hadamard.orchestrator.execution.driver import embed
from tests.support.studies import read

pytestmark = pytest.mark.slow

OWN: tuple[dict[str, Any], ...] = (
    {"seed": 1},
    {"seed": 2, "lr": 0.1, "split_seed": 3},
    {"seed": 3, "weight_decay": 0.1, "angle_scale": 1.0},
    {"seed": 4, "initial_angles": 1.0},
)
"""What may differ among trials that are trained together."""
NOISY = Noise(shots=50, one_qubit_error=0.01, two_qubit_error=0.05, readout_error=0.01, trajectories=3)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory, embedding_cache: Path) -> tuple[Trial, ...]:
    """All trials of the tiny study, with their embeddings in the cache."""
    from rich.console import Console

    from hadamard.cluster.allocation import detect

    os.environ["HADAMARD_CACHE"] = str(embedding_cache)
    plan = read(tmp_path_factory.mktemp("study"))
    embed(plan.trials, detect(), Console(quiet=True))
    return plan.trials


def variant(trial: Trial, name: str, **own: Any) -> Trial:
    """Return a trial like this one but for its key and some settings, wherever they belong."""
    settings = trial.settings
    head = own.pop("head", settings.head)
    head = head.model_copy(update={key: own.pop(key) for key in list(own) if key in type(head).model_fields})
    training = settings.training.model_copy(update={key: own.pop(key) for key in list(own) if key in type(settings.training).model_fields})
    settings = settings.model_copy(update={"head": head, "training": training})
    settings = settings.model_copy(update={key: own.pop(key) for key in list(own) if key in type(settings).model_fields})
    return trial.model_copy(update={"key": name, "settings": settings, **own})


def alike(trials: Sequence[Trial], **common: Any) -> list[Trial]:
    """Return trials of one shape that differ in all that may differ."""
    quantum = next(trial for trial in trials if isinstance(trial.settings.head, QuantumHead) and trial.settings.head.qubits == 3)
    own = OWN if common.get("head") is None else ({"seed": 1}, {"seed": 2, "lr": 0.1, "split_seed": 3}, {"seed": 3, "weight_decay": 0.1})
    return [variant(quantum, f"t{number}", **{"simulator": "compiled", **common, **one}) for number, one in enumerate(own)]


def enter(directory: Path, trials: Sequence[Trial], one_by_one: bool = False) -> list[TrialFiles]:
    """Lay a pack of these trials out in a directory."""
    (directory / "pack").mkdir(parents=True)
    files = [TrialFiles(directory / trial.key) for trial in trials]
    for one, trial in zip(files, trials, strict=True):
        one.directory.mkdir()
        write_atomically(one.trial, trial.model_dump_json())
    PackFiles(directory / "pack").write(files, [one.directory for one in files] if one_by_one else ())
    return files


def trained(directory: Path, trials: Sequence[Trial], one_by_one: bool = False) -> list[TrialFiles]:
    files = enter(directory, trials, one_by_one)
    train.train_pack(directory / "pack")
    return files


def epochs(files: TrialFiles) -> list[dict[str, float]]:
    """The journal's epochs without what depends on time."""
    events = [event for event in files.events() if event["event"] == "epoch"]
    return [{name: value for name, value in event.items() if name not in ("event", "time_ms", "seconds")} for event in events]


def numbers(files: TrialFiles) -> tuple[object, ...]:
    """Everything of a trial that must not depend on time or on other trials."""
    return json.loads(files.result.read_text()), epochs(files)


def losses(files: TrialFiles) -> torch.Tensor:
    found = [value for epoch in epochs(files) for name, value in epoch.items() if name.endswith("loss")]
    responses = json.loads(files.result.read_text())["responses"]
    return torch.tensor(found + [value for name, value in responses.items() if name.endswith("loss")], dtype=torch.float64)


@pytest.mark.parametrize(
    "common",
    [
        {},
        {"precision": "float64"},
        {"encoders": 2, "qubits": 2},
        {"reduction": "projection", "batch": 7},
        {"noise": NOISY},
        {"noise": NOISY.model_copy(update={"gradient": "parameter-shift"})},
        {"head": MlpHead(kind="mlp", hidden=5)},
        {"head": MlpHead(kind="mlp", hidden=0), "batch": 5},
    ],
    ids=["quantum", "float64", "two-encoders", "projection", "noise", "parameter-shift", "perceptron", "linear"],
)
def test_a_trial_gives_the_same_numbers_to_the_bit_alone_together_and_in_any_order(
    tmp_path: Path, trials: tuple[Trial, ...], common: dict[str, Any]
) -> None:
    group = alike(trials, **common)
    together = trained(tmp_path / "together", group)
    backwards = trained(tmp_path / "backwards", group[::-1])[::-1]
    alone = trained(tmp_path / "alone", group, one_by_one=True)
    for one, other, third in zip(together, backwards, alone, strict=True):
        assert numbers(one) == numbers(other) == numbers(third)
    assert len({str(numbers(one)) for one in together}) == len(group), "what is a trial's own makes a difference"


@pytest.mark.parametrize(("precision", "bound"), [("float32", 1e-4), ("float64", 1e-10)])
@pytest.mark.parametrize("simulator", ["torch", "fused", "default.qubit"])
def test_by_other_simulators_the_numbers_are_the_same_within_rounding(
    tmp_path: Path, trials: tuple[Trial, ...], simulator: str, precision: str, bound: float
) -> None:
    ours = simulator in ("torch", "fused")
    group = alike(trials, simulator=simulator, precision=precision, batch=7, epochs=40 if ours else 2)
    together = trained(tmp_path / "together", group)
    alone = trained(tmp_path / "alone", group, one_by_one=True)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(losses(one), losses(other), atol=bound, rtol=0)
        assert json.loads(one.result.read_text())["simulator"] == simulator


def test_in_double_precision_also_pennylane_computes_in_it(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    group = alike(trials, precision="float64", epochs=2)[:2]
    ours = trained(tmp_path / "ours", group)
    theirs = trained(tmp_path / "theirs", [variant(one, one.key, simulator="lightning.qubit") for one in group])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(losses(one), losses(other), atol=1e-9, rtol=0)
    assert torch.get_default_dtype() == torch.float32, "the default is restored"


def test_every_head_has_a_result_with_all_responses(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    one_per_arm = [trial for trial in trials if trial.split == 0]
    for one, trial in zip(trained(tmp_path / "all", one_per_arm), one_per_arm, strict=True):
        result = json.loads(one.result.read_text())
        assert 0 <= result["responses"]["test_accuracy"] <= 1
        assert result["parameters"] > 0
        assert (result["simulator"] in ("compiled", "fused")) is isinstance(trial.settings.head, QuantumHead), "auto is resolved"
        assert (result["simulator"] is None) is isinstance(trial.settings.head, LogisticHead)
        assert not one.checkpoint.exists()
        assert [event["event"] for event in one.events()][-1] == "done"


def test_seconds_are_the_packs_wall_time_shared_equally(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    begin = time.perf_counter()
    files = trained(tmp_path / "together", alike(trials))
    wall = time.perf_counter() - begin
    events = [one.events() for one in files]
    whole = sum(event["seconds"] for one in events for event in one if event["event"] == "done")
    parts = sum(event["seconds"] for one in events for event in one if event["event"] in ("epoch", "evaluated"))
    assert parts < whole < wall
    assert len({event["seconds"] for one in events for event in one if event.get("epoch") == 1}) == 1


@pytest.mark.parametrize("size", [1, 3])
def test_killed_anywhere_and_resumed_the_numbers_are_the_same(tmp_path: Path, trials: tuple[Trial, ...], size: int) -> None:
    group = alike(trials, epochs=800)[:size]
    through = trained(tmp_path / "through", group)
    broken = enter(tmp_path / "broken", group)
    code = """
import sys; from pathlib import Path
from hadamard.model.train import train_pack
from hadamard.model.training.checkpoint_timer import CheckpointTimer
train_pack(Path(sys.argv[1]), new_timer=lambda: CheckpointTimer(every_s=0.05, max_fraction=1))
"""
    kills = 0
    for _ in range(20):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "broken" / "pack")])
        seen = len(broken[-1].events())
        while process.poll() is None and len(broken[-1].events()) < seen + 160:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        if all(one.result.exists() for one in broken):
            break
    assert kills >= 2
    for one, other in zip(broken, through, strict=True):
        assert numbers(one) == numbers(other)
        assert sum(event["event"] == "started" for event in one.events()) >= 3


def runs_per_epoch(pack: Path) -> list[int]:
    """Return how many trials were trained together in each epoch that the last process of a pack trained, from its phases."""
    counts, trials = [], 0
    for line in map(json.loads, (pack / "phases.jsonl").read_text().splitlines()):
        trials = len(line["trials"]) if "trials" in line else trials
        counts.append((line["phase"], trials))
    begun = max(index for index, (phase, _) in enumerate(counts) if phase == "embedding")
    return [trials for phase, trials in counts[begun + 2 :] if phase == "training"]  # the first training phase is the restoring


def test_sigterm_saves_the_epoch_in_training_and_no_epoch_is_trained_twice(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    group = alike(trials, epochs=900)[:3]
    later = [variant(one, f"later-{one.key}", qubits=2) for one in group]
    through = trained(tmp_path / "through", group)
    stopped = enter(tmp_path / "stopped", [*group, *later])
    begun, untouched = stopped[:3], stopped[3:]
    process = subprocess.Popen([sys.executable, "-m", "hadamard.model.train", str(tmp_path / "stopped" / "pack"), "1", "1", "1"])
    while len(begun[-1].events()) < 100:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == EXIT_STOPPED
    assert all(not one.journal.exists() or one.events() == [] for one in untouched), "what was not begun is left alone"
    last = begun[0].events()[-1]["epoch"]
    for one in begun:
        assert one.events()[-1]["epoch"] == last
        with safe_open(one.checkpoint, framework="pt") as file:
            assert json.loads(file.metadata()["epoch"]) == last
    PackFiles(tmp_path / "stopped" / "pack").write(begun)
    train.train_pack(tmp_path / "stopped" / "pack")
    assert runs_per_epoch(tmp_path / "stopped" / "pack") == [3] * (900 - last)
    for one, other in zip(begun, through, strict=True):
        assert numbers(one) == numbers(other)


def test_a_second_sigterm_ends_the_process_at_once() -> None:
    code = """
import os, signal, time
from hadamard.model.train import stop_on_sigterm
stop_requested = stop_on_sigterm()
assert not stop_requested()
os.kill(os.getpid(), signal.SIGTERM)
assert stop_requested()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(60)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == -signal.SIGTERM


@pytest.mark.parametrize(("checks", "events"), [(0, []), (1, ["started"]), (4, ["started", "epoch", "epoch", "epoch"])])
def test_stopped_at_any_moment_it_is_saved_and_continues_to_the_same_numbers(
    tmp_path: Path, trials: tuple[Trial, ...], checks: int, events: list[str]
) -> None:
    """With three epochs, the fifth check is before the evaluation."""
    group = alike(trials, epochs=3)
    through = trained(tmp_path / "through", group)
    stopped = enter(tmp_path / "stopped", group)
    answers = iter([False] * checks)
    with pytest.raises(StopRequest):
        train.train_pack(tmp_path / "stopped" / "pack", lambda: next(answers, True))
    for one in stopped:
        assert [event["event"] for event in one.events()] == events
        assert not one.result.exists()
    train.train_pack(tmp_path / "stopped" / "pack")
    assert [numbers(one) for one in stopped] == [numbers(one) for one in through]


def test_classical_heads_stop_between_fits(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    logistic = [trial for trial in trials if isinstance(trial.settings.head, LogisticHead)]
    files = enter(tmp_path / "stopped", logistic)
    with pytest.raises(StopRequest):
        train.train_pack(tmp_path / "stopped" / "pack", lambda: files[0].result.exists())
    assert [one.events()[-1]["event"] for one in files] == ["done", "started"]


def stopped_after(directory: Path, trial: Trial, epochs: int) -> TrialFiles:
    """Return a trial whose training was stopped after this many epochs."""
    (files,) = enter(directory, [trial])
    answers = iter([False] * (1 + epochs))  # checked before the trial and before each epoch
    with pytest.raises(StopRequest):
        train.train_pack(directory / "pack", lambda: next(answers, True))
    return files


@pytest.mark.parametrize("noise", [Noise(), NOISY], ids=["exact", "noisy"])
def test_trials_that_were_stopped_at_different_epochs_catch_up_and_continue_together(
    tmp_path: Path, trials: tuple[Trial, ...], noise: Noise
) -> None:
    group = alike(trials, epochs=9, noise=noise)
    through = trained(tmp_path / "through", group)
    stopped = [stopped_after(tmp_path / f"stopped-{number}", group[number], epochs) for number, epochs in enumerate((4, 6, 4))]
    stopped += enter(tmp_path / "fresh", group[3:])
    (tmp_path / "again").mkdir()
    PackFiles(tmp_path / "again").write(stopped)
    train.train_pack(tmp_path / "again")
    assert runs_per_epoch(tmp_path / "again") == [1] * 4 + [3] * 2 + [4] * 3
    for one, other in zip(stopped, through, strict=True):
        assert numbers(one) == numbers(other)


@pytest.mark.parametrize("noise", [Noise(), NOISY], ids=["exact", "noisy"])
def test_one_diverging_trial_leaves_and_changes_no_number_of_the_others(tmp_path: Path, trials: tuple[Trial, ...], noise: Noise) -> None:
    group = alike(trials, epochs=5, noise=noise)
    alone = trained(tmp_path / "alone", group, one_by_one=True)
    hot = [group[0], variant(group[1], "hot", lr=1e30), *group[2:]]
    files = trained(tmp_path / "together", hot)
    failed = files[1].events()[-1]
    assert (failed["event"], failed["cause"]) == ("failed", "diverged")
    assert "in epoch" in failed["message"]
    assert "training.lr" in failed["message"]
    assert not files[1].result.exists()
    for number in (0, 2, 3):
        assert numbers(files[number]) == numbers(alone[number])


@pytest.mark.parametrize("simulator", ["fused", "torch", "default.qubit", "lightning.qubit"])
def test_no_simulator_lets_a_diverging_trial_touch_the_others(tmp_path: Path, trials: tuple[Trial, ...], simulator: str) -> None:
    first, second, *_ = alike(trials, epochs=2, simulator=simulator)
    (alone,) = trained(tmp_path / "alone", [first])
    together, hot = trained(tmp_path / "together", [first, variant(second, "hot", lr=1e30)])
    assert hot.events()[-1]["cause"] == "diverged"
    torch.testing.assert_close(losses(together), losses(alone), atol=1e-4, rtol=0)


def test_a_lack_of_memory_is_recorded_for_all_that_were_in_training(
    tmp_path: Path, trials: tuple[Trial, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(batch_trainer, "train_epoch", lambda *_: torch.empty(2**60, dtype=torch.uint8))
        files = trained(tmp_path / "pack-of-four", alike(trials))
    for one in files:
        assert one.events()[-1]["cause"] == "out of memory"
        assert "fewer qubits or a smaller training.batch" in one.events()[-1]["message"]


def test_memory_that_a_process_may_not_have_is_named_as_the_cause(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    (files,) = enter(tmp_path / "large", [variant(alike(trials)[0], "large", qubits=24, reduction="none", epochs=1)])
    code = """
import resource, hadamard.model.train
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
hadamard.model.train.main()
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "large" / "pack"), "1", "1", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert files.events()[-1]["cause"] == "out of memory"


def test_groups_are_of_one_shape_and_of_a_largest_size(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    runs = [TrialRun(TrialFiles(tmp_path / trial.key), trial) for trial in (*alike(trials), *alike(trials, qubits=2))]
    assert train.group_runs(runs, alone=()) == [runs[:4], runs[4:]]
    assert train.group_runs(runs, alone=(), max_size=3) == [runs[:3], [runs[3]], runs[4:7], [runs[7]]]
    assert train.group_runs(runs[:3], alone=[runs[0].files.directory]) == [[runs[0]], runs[1:3]]


def test_damaged_files_of_one_trial_leave_the_others_alone(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    files = enter(tmp_path / "pack-of-four", alike(trials))
    files[0].checkpoint.write_bytes(b"nonsense")
    files[1].journal.write_text("nonsense\n")
    files[2].trial.write_bytes(b"\xff")
    train.train_pack(tmp_path / "pack-of-four" / "pack")
    lines = [json.loads(one.journal.read_text().splitlines()[-1]) for one in files]
    assert [line["event"] for line in lines] == ["failed"] * 3 + ["done"]
    assert [line["cause"] for line in lines[:3]] == ["bad input"] * 3
    assert "Delete it" in lines[0]["message"]
    assert str(files[2].trial) in lines[2]["message"]
    finished = files[3].journal.read_bytes()
    files[3].trial.write_bytes(b"\xff")
    train.train_pack(tmp_path / "pack-of-four" / "pack")
    assert files[3].journal.read_bytes() == finished, "what is done is left alone"


def test_a_corpus_that_changed_since_the_plan_is_refused_for_the_trials_that_read_it(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    first, second, *_ = alike(trials)
    files = trained(tmp_path / "changed", [first.model_copy(update={"data_hash": "0" * 64}), second])
    assert files[0].events()[-1]["cause"] == "bad input"
    assert "changed since the study was planned" in files[0].events()[-1]["message"]
    assert files[1].result.exists()


def test_the_program_knows_nothing_of_ray_or_mlflow(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    enter(tmp_path / "p", [trials[0]])
    foreign = ("ray", "mlflow", "orchestrator", "cluster", "mpi4py")
    code = f"import sys, hadamard.model.train; hadamard.model.train.main(); print([name for name in {foreign} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "p" / "pack"), "1", "1", "1"], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
