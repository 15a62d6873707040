"""Scores against torch's own, trial by trial, and chunks that change nothing."""

from __future__ import annotations

from typing import Self

import numpy as np
import pytest
import torch

from hadamard.model.heads.base import Rngs
from hadamard.model.settings import EVALUATION_ROWS
from hadamard.model.training.evaluation import EmbeddingInputs, evaluate, scores

GENERATOR = torch.Generator().manual_seed(1)


class RecordingHead:
    """A linear head that remembers how many rows it is asked for."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def initial_parameters(self, generators: object) -> torch.Tensor:
        raise NotImplementedError

    def logits(self, parameters: torch.Tensor, embeddings: torch.Tensor, rngs: Rngs) -> torch.Tensor:
        self.rows.append(embeddings.shape[1])
        return embeddings @ parameters.view(len(parameters), 2, -1).mT

    def select(self, trials: object) -> Self:
        raise NotImplementedError


def test_scores_are_each_trials_cross_entropy_in_double_precision_and_its_correct_sentences() -> None:
    logits, labels = torch.randn(3, 50, 2, generator=GENERATOR), torch.randint(2, (3, 50), generator=GENERATOR)
    for trial, score in enumerate(scores(logits, labels)):
        assert score.loss == pytest.approx(torch.nn.functional.cross_entropy(logits[trial].double(), labels[trial]).item(), rel=1e-14)
        assert score.correct.tolist() == (logits[trial].argmax(dim=1) == labels[trial]).tolist()
        assert score.accuracy == np.mean(score.correct)
        assert score.is_finite
    assert not scores(logits * torch.nan, labels)[0].is_finite


def test_evaluation_goes_in_chunks_of_rows_and_gives_the_same_scores() -> None:
    rows = EVALUATION_ROWS + 9
    inputs = EmbeddingInputs(torch.randn(400, 5, generator=GENERATOR), torch.randint(2, (400,), generator=GENERATOR), torch.float64)
    parameters, of_trials = torch.randn(2, 10, generator=GENERATOR).double(), torch.randint(400, (2, rows), generator=GENERATOR)
    head = RecordingHead()
    evaluated = evaluate(head, parameters, inputs, of_trials, [])
    assert head.rows == [EVALUATION_ROWS, 9]
    embeddings, labels = inputs.at(of_trials)
    assert embeddings.dtype == torch.float64
    whole = scores(head.logits(parameters, embeddings, []), labels)
    for score, other in zip(evaluated, whole, strict=True):
        assert score.loss == pytest.approx(other.loss, rel=1e-12)
        assert score.correct.tolist() == other.correct.tolist()
