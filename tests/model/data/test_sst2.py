"""SST-2: by path, environment variable and hub, and the real corpus."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hadamard.model.data.corpus import Corpus, load_corpus
from hadamard.model.data.splits import draw_split
from hadamard.model.settings import Data
from tests.model.data.test_corpus import refusal
from tests.model.data.test_splits import assert_sound

Writer = Callable[..., str]

# ---- SST-2: path, environment, hub


def test_data_path_comes_before_the_environment(tsv: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_SST2", tsv("environment good\t1", "environment bad\t0", name="environment.tsv"))
    assert load_corpus(Data(name="sst2")).texts[0] == "environment good"
    assert "HADAMARD_SST2" in load_corpus(Data(name="sst2")).source
    path = tsv("path good\t1", "path bad\t0", name="path.tsv")
    assert load_corpus(Data(name="sst2", path=path)).texts[0] == "path good"


@pytest.fixture
def empty_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.usefixtures("empty_hub_cache")
def test_without_network_the_error_names_all_three_ways_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    start = time.monotonic()
    message = refusal(Data(name="sst2"))
    assert time.monotonic() - start < 5
    for way in ("data.path", "HADAMARD_SST2", "SetFit/sst2", "HF_HUB_OFFLINE is set"):
        assert way in message


@pytest.mark.usefixtures("empty_hub_cache")
def test_unreachable_hub_is_requests_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    requests = []

    def unreachable(*arguments: object, **options: object) -> None:
        requests.append(options["timeout"])
        raise TimeoutError("no answer")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", unreachable)
    assert "(TimeoutError: no answer)" in refusal(Data(name="sst2"))
    assert requests == [5.0]


def hub_with(folder: Path, rows: dict[str, list[object]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put a hub whose cache holds the given files in place of the real one; return what is requests of it."""
    requests: list[str] = []
    for name, records in rows.items():
        (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")

    def download(repository: str, name: str, *, repo_type: str, local_files_only: bool, **options: object) -> str:
        assert (repository, repo_type, local_files_only) == ("SetFit/sst2", "dataset", True)
        requests.append(name)
        return str(folder / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    return requests


def test_hub_rows_are_pooled_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: dict[str, list[object]] = {
        "train.jsonl": [{"text": 'a "quote" \\ é', "label": 1, "label_text": "positive"}],
        "dev.jsonl": [{"text": "b", "label": 0, "label_text": "negative"}],
        "test.jsonl": [{"text": "c", "label": 1, "label_text": "positive"}],
    }
    requests = hub_with(tmp_path, rows, monkeypatch)
    corpus = load_corpus(Data(name="sst2"))
    assert corpus.texts == ('a "quote" \\ é', "b", "c")
    assert corpus.labels.tolist() == [1, 0, 1]
    assert requests == ["train.jsonl", "dev.jsonl", "test.jsonl"]
    assert "SetFit/sst2" in corpus.source


def test_bad_hub_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[object] = [{"text": "a", "label": -1}, {"sentence": "b", "label": 1}, ["c", 1], {"text": "d\te", "label": 1}]
    fine: list[object] = [{"text": "fine", "label": 1}]
    hub_with(tmp_path, {"train.jsonl": records, "dev.jsonl": fine, "test.jsonl": fine}, monkeypatch)
    message = refusal(Data(name="sst2"))
    for number, reason in enumerate(("the label is '-1'", "no text and label", "no text and label", "a tab or a line break"), 1):
        assert f"train.jsonl:{number}: {reason}" in message.replace("the text holds ", "")


# ---- the real SST-2


def test_sst2_is_complete(sst2: Corpus, sst2_path: Path) -> None:
    assert len(sst2.texts) == 9613
    assert np.bincount(sst2.labels).tolist() == [4650, 4963]
    assert len(set(sst2.texts)) == 9602
    files = [sst2_path / f"{name}.tsv" for name in ("train", "dev", "test")]
    assert sst2.hash == hashlib.sha256(b"".join(file.read_bytes().split(b"\n", 1)[1] for file in files)).hexdigest()


def test_sst2_loads_quickly(sst2_path: Path) -> None:
    start = time.process_time()
    load_corpus(Data(name="sst2", path=str(sst2_path)))
    assert time.process_time() - start < 2


def test_sst2_splits_have_the_papers_sizes(sst2: Corpus) -> None:
    for seed in range(20):
        split = draw_split(sst2, Data(name="sst2"), seed)
        assert [len(rows) for rows in (split.train, split.validation, split.test)] == [435, 77, 9101]
        assert_sound(sst2, split, Data(name="sst2"))
