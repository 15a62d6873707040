"""The cache of embeddings: computed once among processes, and shared by memory map."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from hadamard.model.data.corpus import load_corpus
from hadamard.model.errors import StopRequest, UserError
from hadamard.model.files.atomic import locked
from hadamard.model.representation import embeddings
from hadamard.model.representation.sentence_encoders import PACKAGED_NAME, locate
from hadamard.model.settings import Data


def compute() -> embeddings.Embeddings:
    return np.ones((2, 3), np.float32)


def never() -> embeddings.Embeddings:
    raise AssertionError("computed again")


def test_what_is_there_is_not_computed_again(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "one.npy"
    assert embeddings.compute_once(file, compute) == file
    assert embeddings.compute_once(file, never) == file
    loaded = embeddings.load(file)
    assert isinstance(loaded, np.memmap)
    np.testing.assert_array_equal(loaded, compute())


def test_what_another_process_computes_is_waited_for_until_a_stop_is_requested(tmp_path: Path) -> None:
    file = tmp_path / "one.npy"
    with open(file.with_suffix(".lock"), "w") as lock:
        assert locked(lock, wait=False)
        with pytest.raises(StopRequest):
            embeddings.compute_once(file, never, should_stop=lambda: True)

        def other_process_finishes() -> bool:
            np.save(file, compute())
            return False

        assert embeddings.compute_once(file, never, other_process_finishes, poll_s=0.0) == file


def test_a_lock_that_is_held_for_too_long_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "one.npy"
    with open(file.with_suffix(".lock"), "w") as lock:
        assert locked(lock, wait=False)
        assert embeddings.compute_once(file, compute, lost_lock_s=0.0).exists()


def _compute_counted(file: Path, counter: Path) -> None:
    def counted() -> embeddings.Embeddings:
        with open(counter, "a") as lines:
            lines.write("x")
        return compute()

    embeddings.compute_once(file, counted, poll_s=0.01)


def test_of_several_processes_one_computes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_compute_counted, args=(tmp_path / "one.npy", tmp_path / "counter")) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 3
    assert (tmp_path / "counter").read_text() == "x"


def test_a_cache_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HADAMARD_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"the embedding cache .*/file cannot be written: .*Set HADAMARD_CACHE to another directory"):
        embeddings.check_cache()


@pytest.mark.slow
def test_embeddings_of_a_corpus_are_of_unit_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_CACHE", str(tmp_path))
    corpus, encoder = load_corpus(Data(sentences=100)), locate(PACKAGED_NAME)
    file = embeddings.ensure(corpus, encoder)
    assert file == embeddings.cached_file(corpus.hash, encoder.hash)
    loaded = embeddings.load(file)
    assert loaded.shape == (100, 384)
    np.testing.assert_allclose(np.linalg.norm(loaded, axis=1), 1, atol=1e-5)
