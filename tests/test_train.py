"""Training a pack for real: the same numbers whatever ran beside it, and after any interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from model import train
from model.journal import PackFiles, TrialFiles, write_atomically
from model.settings import Trial
from orchestrator.run import _embed
from tests.studies import read

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory, embedding_cache: Path) -> tuple[Trial, ...]:
    """All trials of the tiny study, with their embeddings in the cache."""
    from rich.console import Console

    from cluster.allocation import detect

    os.environ["HADAMARD_CACHE"] = str(embedding_cache)
    plan = read(tmp_path_factory.mktemp("study"))
    _embed(plan.trials, detect(), Console(quiet=True))
    return plan.trials


def enter(directory: Path, trials: list[Trial]) -> list[TrialFiles]:
    """Lay a pack of these trials out in a directory."""
    (directory / "pack").mkdir(parents=True)
    files = [TrialFiles(directory / trial.key) for trial in trials]
    for one, trial in zip(files, trials, strict=True):
        one.directory.mkdir()
        write_atomically(one.trial, trial.model_dump_json())
    PackFiles(directory / "pack").write(files)
    return files


def numbers(files: TrialFiles) -> tuple[object, ...]:
    """Everything of a trial that must not depend on time or company."""
    epochs = [
        {name: value for name, value in event.items() if name not in ("time_ms", "seconds")}
        for event in files.events()
        if event["event"] == "epoch"
    ]
    return json.loads(files.result.read_text()), epochs


def test_a_trial_gives_the_same_numbers_alone_in_company_and_in_any_order(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    quantum = [trial for trial in trials if trial.arm.startswith("r")][:3]
    together = enter(tmp_path / "together", quantum)
    backwards = enter(tmp_path / "backwards", quantum[::-1])[::-1]
    alone = [enter(tmp_path / trial.key, [trial])[0] for trial in quantum]
    for directory in ("together", "backwards", *(trial.key for trial in quantum)):
        train.train_pack(tmp_path / directory / "pack", 1)
    for one, other, third in zip(together, backwards, alone, strict=True):
        assert numbers(one) == numbers(other) == numbers(third)


def test_every_head_has_a_result_with_all_responses(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    one_per_arm = [trial for trial in trials if trial.split == 0]
    files = enter(tmp_path / "all", one_per_arm)
    train.train_pack(tmp_path / "all" / "pack", 1)
    for one in files:
        result = json.loads(one.result.read_text())
        assert 0 <= result["responses"]["test_accuracy"] <= 1
        assert result["parameters"] > 0
        assert not one.checkpoint.exists()
        assert [event["event"] for event in one.events()][-1] == "done"


def test_killed_anywhere_and_resumed_the_numbers_are_the_same(
    tmp_path: Path, trials: tuple[Trial, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = next(trial for trial in trials if trial.arm.startswith("r"))
    longer = trial.settings.training.model_copy(update={"epochs": 60})
    trial = trial.model_copy(update={"settings": trial.settings.model_copy(update={"training": longer})})
    through = enter(tmp_path / "through", [trial])[0]
    train.train_pack(tmp_path / "through" / "pack", 1)
    broken = enter(tmp_path / "broken", [trial])[0]
    code = "import pathlib, sys; from model import train; train.CHECKPOINT_EVERY_S = 0.05; train.train_pack(pathlib.Path(sys.argv[1]), 1)"
    kills = 0
    for _ in range(20):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "broken" / "pack")])
        seen = len(broken.events())
        while process.poll() is None and len(broken.events()) < seen + 12:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        if broken.result.exists():
            break
    assert kills >= 2
    assert numbers(broken) == numbers(through)
    assert sum(event["event"] == "started" for event in broken.events()) >= 3


def test_one_diverging_trial_does_not_take_the_others_along(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    first, second = [trial for trial in trials if trial.arm.startswith("r")][:2]
    hot = first.settings.training.model_copy(update={"lr": 1e30})
    hot_trial = first.model_copy(update={"settings": first.settings.model_copy(update={"training": hot})})
    files = enter(tmp_path / "pack-of-two", [hot_trial, second])
    train.train_pack(tmp_path / "pack-of-two" / "pack", 1)
    failed = files[0].events()[-1]
    assert (failed["event"], failed["cause"]) == ("failed", "diverged")
    assert "training.lr" in failed["message"]
    assert files[1].result.exists()


def test_a_corpus_that_changed_since_the_plan_is_refused(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    changed = trials[0].model_copy(update={"data_hash": "0" * 64})
    files = enter(tmp_path / "changed", [changed])[0]
    train.train_pack(tmp_path / "changed" / "pack", 1)
    assert files.events()[-1]["cause"] == "bad input"
    assert "changed since the study was planned" in files.events()[-1]["message"]


def test_the_program_knows_nothing_of_ray_or_mlflow(tmp_path: Path, trials: tuple[Trial, ...]) -> None:
    enter(tmp_path / "p", [trials[0]])
    foreign = ("ray", "mlflow", "orchestrator", "cluster")
    code = f"import sys, model.train; model.train.main(); print([name for name in {foreign} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "p" / "pack"), "1"], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_epoch_orders_are_permutations_that_differ_by_epoch_and_seed() -> None:
    orders = {tuple(train.epoch_order(seed, epoch, 20).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert torch.equal(train.epoch_order(1, 2, 20), train.epoch_order(1, 2, 20))
