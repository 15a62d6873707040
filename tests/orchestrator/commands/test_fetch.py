"""`hadamard fetch`: what it computes, where it says things lie, and what a job without network says if it was not given."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hadamard.cluster.file_systems import kind
from hadamard.model.errors import DataError, SentenceEncoderError
from hadamard.model.representation import embeddings
from hadamard.model.trial import TrialSettings
from hadamard.orchestrator.cli import app
from hadamard.orchestrator.commands import fetch
from hadamard.orchestrator.study.expansion import read_plan
from tests.support.studies import read, write_study

SMALL = """\
study: small
data: {name: reviews, sentences: 100, train_per_class: 10}
head: {kind: quantum, qubits: 2, reduction: pca}
factors: {training.lr: [0.02, 0.1]}
design: {kind: full_factorial, splits: 2}
"""


@pytest.mark.slow
def test_what_is_missing_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_CACHE", str(tmp_path / "cache"))
    study = write_study(tmp_path, SMALL)
    first = CliRunner().invoke(app, ["fetch", str(study), "--set", "data.sentences=120"])
    assert first.exit_code == 0, first.output
    assert first.output.count("computing embeddings") == 1
    trial = read_plan(study, ["data.sentences=120"]).trials[0]
    file = embeddings.cached_file(trial.data_hash, trial.sentence_encoder_hash)
    assert embeddings.load(file).shape == (120, 384)
    assert f"embeddings        {file}  (" in first.output
    assert f"HF_HUB_OFFLINE=1 hadamard run {study}" in first.output
    assert f"jobs must have the same HADAMARD_CACHE={tmp_path / 'cache'}" in first.output
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(embeddings, "why_not_writable", lambda _: "read-only file system")
    again = CliRunner().invoke(app, ["fetch", str(study), "--set", "data.sentences=120"])
    assert again.exit_code == 0, "what holds everything need not be written"
    assert again.output == first.output[first.output.index("\n") + 1 :]
    more = CliRunner().invoke(app, ["fetch", str(study), "--set", "data.sentences=140"])
    assert "cannot be written: read-only file system" in str(more.exception)


def settings_of(tmp_path: Path, data: str) -> TrialSettings:
    return read(tmp_path, SMALL, [f"data={data}"]).trials[0].settings


def test_every_place_that_a_trial_reads_is_named(tmp_path: Path) -> None:
    written = dict(fetch.places(settings_of(tmp_path, "{name: reviews, sentences: 100, train_per_class: 10}")))
    assert set(written) == {"sentence encoder", "embeddings"}
    assert (written["sentence encoder"] / "model.safetensors").exists()
    corpus = tmp_path / "corpus.tsv"
    corpus.write_text("text\tlabel\n" + "".join(f"sentence {number}\t{number % 2}\n" for number in range(60)))
    read_in = dict(fetch.places(settings_of(tmp_path, f"{{name: mine, path: '{corpus}', train_per_class: 10}}")))
    assert read_in["corpus"] == corpus
    assert read_in["embeddings"] != written["embeddings"]


@pytest.mark.parametrize(("file_system", "shared"), [("nfs4", True), ("lustre", True), ("tmpfs", False), ("xfs", False)])
def test_the_kind_of_file_system_tells_who_sees_a_place(
    file_system: str, shared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "kind", lambda place: file_system if place == tmp_path else kind(place))
    words, seen = fetch.where(tmp_path)
    assert seen is shared
    assert words.startswith(file_system)


def test_doubts_come_with_what_to_do() -> None:
    study = Path("a study.yaml")
    assert fetch.verdict(False, study, {}) == [
        "HF_HUB_OFFLINE=1 hadamard run 'a study.yaml'   needs no network where these paths are the same"
    ]
    doubts = "\n".join(fetch.verdict(True, study, {"HF_HOME": "/x"}))
    assert "HADAMARD_CACHE=/shared" in doubts
    assert "HF_HOME=/x" in doubts


def test_a_job_without_network_says_what_to_run_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HADAMARD_SST2", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    study = write_study(tmp_path, SMALL)
    with pytest.raises(DataError, match="hadamard fetch STUDY.*login node"):
        read_plan(study, ["data={name: sst2}"])
    with pytest.raises(SentenceEncoderError, match="hadamard fetch STUDY.*login node"):
        read_plan(study, ["sentence_encoder.name=somebody/some-encoder"])
