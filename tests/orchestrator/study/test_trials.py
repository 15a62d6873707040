"""Trials: keys that say exactly what decides a result, and seeds that make splits blocks. Packs and estimates."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.model.errors import DataError
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.study.file import StudyError
from tests.support.studies import TINY, read


def plan_of(tmp_path: Path, *overrides: str, content: str = TINY) -> Plan:
    return read(tmp_path, content, overrides)


def keys(plan: Plan) -> set[str]:
    return {trial.key for trial in plan.trials}


def test_every_arm_meets_every_split_with_the_same_seeds(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    assert len(plan.trials) == len(keys(plan)) == (4 + 1) * 2
    for split in range(2):
        seeds = {(trial.split_seed, trial.seed) for trial in plan.trials if trial.split == split}
        assert len(seeds) == 1
    assert len({trial.split_seed for trial in plan.trials}) == 2


def test_more_splits_keep_the_keys_of_the_first(tmp_path: Path) -> None:
    assert keys(plan_of(tmp_path)) < keys(plan_of(tmp_path, "design.splits=4"))


@pytest.mark.parametrize(
    "override",
    ["training.epochs=4", "seed=6", "head.encoder_layers=2", "data.train_per_class=17", "data.difficulty=0.6", "simulator=lightning.qubit"],
)
def test_what_decides_a_result_changes_the_key(tmp_path: Path, override: str) -> None:
    before = {trial.key for trial in plan_of(tmp_path).trials if trial.arm.startswith("r")}
    assert not before & keys(plan_of(tmp_path, override))


def test_what_does_not_decide_it_keeps_the_key(tmp_path: Path) -> None:
    before = plan_of(tmp_path)
    logistic = {trial.key for trial in before.trials if trial.arm == "logistic"}
    assert logistic <= keys(plan_of(tmp_path, "training.epochs=9", "simulator=lightning.qubit", "precision=float64"))
    corpus = tmp_path / "corpus.tsv"
    from hadamard.model.data.corpus import load_corpus

    written = load_corpus(before.study.data)
    corpus.write_text(
        "text\tlabel\n" + "".join(f"{sentence}\t{label}\n" for sentence, label in zip(written.texts, written.labels, strict=True))
    )
    assert keys(plan_of(tmp_path, "data.name=mine", f"data.path={corpus}")) == keys(before)


def test_rows_with_the_same_settings_are_replicates_with_seeds_of_their_own(tmp_path: Path) -> None:
    content = TINY.replace(
        "training.lr: [0.02, 0.1]", "training.lr: {low: 0.02, high: 0.1}\n  training.weight_decay: {low: 0, high: 0.1}"
    ).replace("  head.qubits: [2, 3]\n", "")
    plan = plan_of(tmp_path, "design.centre_points=2", content=content)
    centre = [trial for trial in plan.trials if trial.arm in ("r04", "r05") and trial.split == 0]
    assert sorted(trial.replicate for trial in centre) == [0, 1]
    assert centre[0].seed != centre[1].seed
    assert centre[0].split_seed == centre[1].split_seed


def test_rows_that_cannot_be_run_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        plan_of(tmp_path, "head.reduction=none")
    assert len(caught.value.problems) == 2, "one for each reason"
    assert "study.yaml:6: factors: rows r00, r02: head.qubits = 2 holds 4 amplitudes, but the embedding has 384" in str(caught.value)
    with pytest.raises(StudyError, match=r"head.connectivity = 3 needs more qubits than head.qubits = 3"):
        plan_of(tmp_path, "head.connectivity=3", "factors.head.qubits=[3, 4]")


def test_too_few_sentences(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="150"):
        plan_of(tmp_path, "data.train_per_class=150")
