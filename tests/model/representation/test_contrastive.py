"""Representations for real: a sentence encoder tuned on a split before the head, and one trained with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hadamard.model import train
from hadamard.model.data.corpus import load_corpus
from hadamard.model.errors import StopRequest
from hadamard.model.files.atomic import locked
from hadamard.model.heads.quantum.classifier import QuantumClassifier
from hadamard.model.heads.quantum.settings import QuantumHead
from hadamard.model.representation import embeddings
from hadamard.model.representation.contrastive import draw_pairs
from hadamard.model.representation.embedded_corpus import load_embedded_corpus
from hadamard.model.representation.sentence_encoders import locate
from hadamard.model.representation.unfrozen import UnfrozenHead
from hadamard.model.settings import Fold, Training, Tuning
from hadamard.model.simulators.registry import open_simulator
from hadamard.model.trial import Trial
from tests.model.test_train import enter, numbers, trained, variant
from tests.support.studies import TINY, read

SMALL = TINY.replace("sentences: 300", "sentences: 120").replace("splits: 2", "splits: 1")


def plan_trials(tmp_path: Path, *overrides: str) -> tuple[Trial, ...]:
    return read(tmp_path, SMALL, ["sentence_encoder.tuning={pairs: 4, lr: 2.0e-4}", *overrides]).trials


def test_pairs_are_as_many_within_a_class_as_across_and_never_a_sentence_with_itself() -> None:
    labels = np.array([0, 1, 1, 0, 1, 0, 1])
    pairs = draw_pairs(labels, Tuning(pairs=3, epochs=2), np.random.default_rng(1))
    assert len(pairs) == 2 * 2 * 3 * len(labels)
    assert all(first != second and (labels[first] == labels[second]) == (wanted == 1.0) for first, second, wanted in pairs)
    half = len(pairs) // 2
    for epoch in (pairs[:half], pairs[half:]):  # every sentence comes first as often in each epoch
        assert set(np.bincount([first for first, *_ in epoch])) == {6}
    assert pairs[:half] != pairs[half:]


@pytest.mark.slow
def test_tuning_draws_classes_apart_on_the_training_set_and_is_done_once(tmp_path: Path) -> None:
    frozen = next(trial for trial in plan_trials(tmp_path) if trial.arm == "logistic")
    corpus = load_corpus(frozen.settings.data)
    embeddings.ensure(corpus, locate("all-MiniLM-L6-v2"))
    tuned = next(trial for trial in plan_trials(tmp_path, "sentence_encoder.representation=setfit") if trial.arm == "logistic")
    fold = tuned.model_copy(update={"fold": Fold(repeat=0, index=0, of=2), "key": "fold"})
    assert frozen.digest != tuned.digest

    def gap(trial: Trial) -> float:
        """Mean likeness within classes over that across, on the training set."""
        sentences = load_embedded_corpus(trial)
        rows = sentences.split(trial).train
        vectors, labels = sentences.embeddings[rows], sentences.labels[rows]
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        alike = labels[:, None] == labels[None]
        return float((unit @ unit.T)[alike].mean() - (unit @ unit.T)[~alike].mean())

    before = gap(frozen)
    with pytest.raises(StopRequest):
        load_embedded_corpus(tuned, lambda: True)
    assert not embeddings.tuned_file(tuned).exists()
    assert gap(tuned) > before + 0.1
    made = embeddings.tuned_file(tuned).stat().st_mtime_ns
    assert gap(tuned) > before + 0.1
    assert embeddings.tuned_file(tuned).stat().st_mtime_ns == made
    of_fold = load_embedded_corpus(fold)
    split = of_fold.split(fold)
    seen = np.zeros(len(of_fold.labels), bool)
    seen[np.concatenate([split.train, split.validation])] = True
    assert (np.isnan(of_fold.embeddings).any(axis=1) == ~seen).all()
    files = trained(tmp_path / "trials", [tuned, fold])
    whole, part = (json.loads(one.result.read_text()) for one in files)
    assert "test_accuracy" in whole["responses"]
    assert set(part["responses"]) == {"train_accuracy", "train_loss", "validation_accuracy", "validation_loss"}
    assert "test_right" not in part


@pytest.mark.slow
def test_an_unfrozen_encoder_is_trained_with_its_head_and_goes_on_the_same_after_a_stop(tmp_path: Path) -> None:
    some = next(trial for trial in plan_trials(tmp_path, "sentence_encoder.representation=unfrozen", "training.epochs=2", "baselines=[]"))
    embeddings.ensure(load_corpus(some.settings.data), locate("all-MiniLM-L6-v2"))
    trial = variant(some, "t0", simulator="compiled")
    (whole,) = trained(tmp_path / "whole", [trial])
    files = enter(tmp_path / "parts", [trial])
    answers = iter([False, False, True])
    with pytest.raises(StopRequest):
        train.train_pack(tmp_path / "parts" / "pack", lambda: next(answers, True))
    assert files[0].checkpoint.exists()
    train.train_pack(tmp_path / "parts" / "pack")
    assert numbers(files[0]) == numbers(whole)
    result, _ = numbers(whole)
    assert result["parameters"] > 22_000_000  # type: ignore[index]


@pytest.mark.slow
def test_the_encoder_below_a_head_starts_where_it_was_and_has_a_gradient() -> None:
    directory, texts = locate("all-MiniLM-L6-v2").directory, ["a fine film", "a dull and tiresome one", "well made", "badly made"]
    tuning = Tuning(lr=1e-3, precision="float32")
    inner = QuantumClassifier([QuantumHead(qubits=9, encoder_layers=1, layers=1)], [torch.randn(8, 384)], open_simulator("compiled"))
    head = UnfrozenHead(inner, directory, texts, tuning, Training(lr=0.01), torch.device("cpu"))
    generators = [torch.Generator().manual_seed(3)]
    parameters = head.initial_parameters(generators).requires_grad_()
    rows = torch.tensor([[2, 0, 3]])
    rngs = [np.random.default_rng(0)]
    from sentence_transformers import SentenceTransformer

    plain = torch.from_numpy(SentenceTransformer(str(directory)).encode([texts[row] for row in rows[0].tolist()], show_progress_bar=False))
    start = inner.initial_parameters([torch.Generator().manual_seed(3)])
    logits = head.logits(parameters, rows, rngs)
    torch.testing.assert_close(logits, inner.logits(start, plain[None], rngs), rtol=1e-4, atol=1e-5)
    (gradient,) = torch.autograd.grad(logits[0, 0, 1] - logits[0, 0, 0], parameters)
    of_encoder = gradient[0, start.shape[1] :]
    step = 1e-2 * of_encoder / of_encoder.norm()
    with torch.no_grad():
        moved = parameters.clone()
        moved[0, start.shape[1] :] += step
        there = head.logits(moved, rows, rngs)
    change = ((there - logits)[0, 0, 1] - (there - logits)[0, 0, 0]).item()
    assert change == pytest.approx(1e-2 * of_encoder.norm().item(), rel=0.1)


def test_a_trial_whose_encoder_another_process_tunes_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_CACHE", str(tmp_path / "cache"))
    trial = plan_trials(tmp_path, "sentence_encoder.representation=setfit")[0]
    frozen = plan_trials(tmp_path)[0]
    file = embeddings.tuned_file(trial)
    file.parent.mkdir(parents=True, exist_ok=True)
    assert not embeddings.tuned_elsewhere(trial)
    with open(file.with_suffix(".lock"), "w") as lock:
        assert locked(lock, wait=False)
        assert embeddings.tuned_elsewhere(trial)
        assert not embeddings.tuned_elsewhere(frozen)
        file.touch()
        assert not embeddings.tuned_elsewhere(trial)
        file.unlink()
    assert not embeddings.tuned_elsewhere(trial)
