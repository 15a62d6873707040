"""The paper's studies: every file of configs/paper runs, on the corpus it names or on any other of two classes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hadamard.model.data.corpus import load_corpus
from hadamard.model.heads.quantum.settings import QuantumHead
from hadamard.model.representation import embeddings
from hadamard.model.representation.sentence_encoders import locate
from hadamard.model.settings import Data
from hadamard.model.trial import Trial
from hadamard.orchestrator.commands.plan import show_plan
from hadamard.orchestrator.study.expansion import read_plan
from hadamard.orchestrator.study.packaged import packaged_studies
from tests.conftest import ROOT
from tests.model.test_train import trained

SYNTHETIC = ("quickstart", "sharded")
"""Packaged studies of sentences that are generated."""
STUDIES = sorted((ROOT / "configs" / "paper").glob("*.yaml"))
BRIEF = ["training.epochs=1", "training.batch=64", "design.splits=1", "data.train_per_class=40", "sentence_encoder.tuning.pairs=1"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences of another corpus, in the form of SST-2."""
    written = load_corpus(Data(name="reviews", sentences=1200))
    path = tmp_path_factory.mktemp("corpus") / "other.tsv"
    lines = [f"{sentence}\t{label}" for sentence, label in zip(written.texts, written.labels, strict=True)]
    path.write_text("\n".join(["text\tlabel", *lines]) + "\n")
    return path


def presets(study: Path) -> list[list[str]]:
    """The overrides for a laptop and for a cluster that the file's first lines name."""
    comment = " ".join(line.lstrip("# ") for line in study.read_text().splitlines() if line.startswith("#"))
    laptop, cluster = comment.partition("laptop, minutes:")[2].split("cluster:")
    return [[part.split("  ")[0].strip().strip('"') for part in named.split("--set ")[1:]] for named in (laptop, cluster)]


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_a_study_is_planned_on_any_corpus_as_it_is_and_with_its_presets(study: Path, corpus: Path) -> None:
    whole = read_plan(study, [f"data.path={corpus}"])
    laptop, cluster = presets(study)
    assert laptop
    assert cluster
    small = read_plan(study, [f"data.path={corpus}", *laptop])
    assert len(small.trials) < len(whole.trials)
    here = [override for override in cluster if not override.startswith("sentence_encoder.name")]  # which no test may fetch
    large = read_plan(study, [f"data.path={corpus}", *here])
    assert len(large.trials) >= len(whole.trials)


@pytest.mark.parametrize("name", packaged_studies())
def test_every_packaged_study_is_planned_for_people_and_programs(name: str, corpus: Path) -> None:
    overrides = [f"data.path={corpus}"] if name not in SYNTHETIC else []
    plan = json.loads(show_plan(Path(name), overrides, 0.02, as_json=True))
    arms = {re.sub(r"\.c\d+$", "", key.partition("-")[0]) for key in plan["trials"]}  # without the candidate's number
    assert {row["row"] for row in plan["rows"]} | set(plan["baselines"]) == arms
    assert f"{len(plan['trials'])}: {len(plan['rows'])} rows" in show_plan(Path(name), overrides, 0.02, as_json=False)


def test_equal_parameters_differ_by_less_than_seven_per_cent(corpus: Path) -> None:
    plan = read_plan(ROOT / "configs" / "paper" / "qubits_equal_parameters.yaml", [f"data.path={corpus}"])
    counts = [trial.settings.head.parameters(384) or 0 for trial in plan.trials if isinstance(trial.settings.head, QuantumHead)]
    assert max(counts) / min(counts) < 1.07
    assert len({trial.settings.head.qubits for trial in plan.trials if isinstance(trial.settings.head, QuantumHead)}) == 5


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_a_trial_of_each_shape_is_trained_on_another_corpus(study: Path, corpus: Path, tmp_path: Path) -> None:
    plan = read_plan(study, [f"data.path={corpus}", *BRIEF])
    small: dict[str, Trial] = {}
    for trial in plan.trials:
        if not isinstance(trial.settings.head, QuantumHead) or trial.settings.head.qubits <= 12:  # time; the others differ by size alone
            small.setdefault(trial.shape, trial)
    embeddings.ensure(load_corpus(plan.study.data), locate("all-MiniLM-L6-v2"))
    for files in trained(tmp_path, list(small.values())):
        result = json.loads(files.result.read_text())
        assert 0 <= result["responses"]["validation_accuracy"] <= 1
