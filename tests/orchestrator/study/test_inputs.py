"""Inputs of trials: the corpus and the encoder that settings name, looked up once."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.model.errors import DataError, SentenceEncoderError
from hadamard.model.settings import Data, SentenceEncoder
from hadamard.model.trial import TrialSettings
from hadamard.orchestrator.study.inputs import corpus_of, inputs_of


def test_the_corpus_and_the_encoder_of_settings(tmp_path: Path) -> None:
    file = tmp_path / "mine.tsv"
    file.write_text("text\tlabel\n" + "".join(f"sentence {number}\t{number % 2}\n" for number in range(10)))
    inputs = inputs_of(TrialSettings(data=Data(name="mine", path=str(file), train_per_class=2)))
    assert len(inputs.corpus.texts) == 10
    assert inputs.sentence_encoder.dimension == 384


def test_a_corpus_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.tsv"
    file.write_text("text\tlabel\n" + "".join(f"sentence {number}\t{number % 2}\n" for number in range(10)))
    data = Data(name="mine", path=str(file), train_per_class=2)
    first = corpus_of(data)
    file.unlink()
    assert corpus_of(data.model_copy()) is first


def test_what_is_missing_is_named() -> None:
    with pytest.raises(DataError, match=r"nowhere\.tsv"):
        inputs_of(TrialSettings(data=Data(name="mine", path="nowhere.tsv")))
    with pytest.raises(SentenceEncoderError, match="no-such-encoder"):
        inputs_of(TrialSettings(sentence_encoder=SentenceEncoder(name="./no-such-encoder")))
