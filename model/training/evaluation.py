"""Scores of heads: losses and accuracies of logits, in chunks that bound the memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from hadamard.model.heads.base import HeadBatch, Rngs, Score
from hadamard.model.settings import EVALUATION_ROWS


class HeadInputs(Protocol):
    """What heads read of a corpus, by row."""

    @property
    def labels(self) -> torch.Tensor:
        """Labels of all sentences, [corpus]."""
        ...

    def at(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the inputs of sentences [trials, rows], and their labels [trials, rows]."""
        ...


@dataclass(frozen=True)
class EmbeddingInputs:
    """The embeddings of a corpus, on the device that computes.

    Attributes:
        embeddings: [corpus, dimension].
        labels: [corpus].
        dtype: Precision to compute in.
    """

    embeddings: torch.Tensor
    labels: torch.Tensor
    dtype: torch.dtype

    def at(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return embeddings [..., dimension] and labels [...] of sentences [...]."""
        return self.embeddings[rows].to(self.dtype), self.labels[rows]


def scores(logits: torch.Tensor, labels: torch.Tensor) -> list[Score]:
    """Return each trial's score from logits [trials, rows, 2] and labels [trials, rows]; losses are computed in double precision."""
    losses = nn.functional.cross_entropy(logits.double().flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
    correct = (logits.argmax(dim=2) == labels).cpu().numpy()
    return [Score(loss, trial) for loss, trial in zip(losses.mean(dim=1).tolist(), correct, strict=True)]


@torch.no_grad()
def evaluate(head: HeadBatch, parameters: torch.Tensor, inputs: HeadInputs, rows: torch.Tensor, rngs: Rngs) -> list[Score]:
    """Return the score of each trial's head on sentences [trials, rows], in chunks so that memory does not grow with the corpus.

    A chunk has EVALUATION_ROWS rows of every trial, however many trials there are: its size may decide the last bit of a trial's numbers.
    """
    logits = [head.logits(parameters, inputs.at(chunk)[0], rngs) for chunk in torch.split(rows, EVALUATION_ROWS, dim=1)]
    return scores(torch.cat(logits, dim=1), inputs.labels[rows])
