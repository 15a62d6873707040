"""Corpora for the tests beside this file: small files of their own, and the real SST-2 where it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hadamard.model.data.corpus import Corpus, load_corpus
from hadamard.model.settings import Data
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def no_sst2_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HADAMARD_SST2", raising=False)


@pytest.fixture
def tsv(tmp_path: Path) -> Callable[..., str]:
    """Write lines (after the header, unless told otherwise) to a file and return its path."""

    def write(*lines: str | bytes, header: str = "text\tlabel", name: str = "own.tsv") -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in (header, *lines)))
        return str(path)

    return write


@pytest.fixture(scope="session")
def sst2_path() -> Path:
    beside = ROOT.parent / "shared" / "data" / "sst2"
    path = Path(os.environ.get("HADAMARD_SST2") or beside)
    if not path.exists():
        reason = f"no SST-2 at {path}: set HADAMARD_SST2 to a directory with train.tsv, dev.tsv and test.tsv"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def sst2(sst2_path: Path) -> Corpus:
    return load_corpus(Data(name="sst2", path=str(sst2_path)))
