"""How good heads are: losses and accuracies of logits, and of trained heads on a side of their splits.

Owns what is measured of a head, in blocks that bound the memory. Does not own training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from hadamard.model.heads.base import Draws, HeadBatch, Score
from hadamard.model.settings import EVALUATION_ROWS


class Readable(Protocol):
    """What a team reads of a corpus."""

    @property
    def labels(self) -> torch.Tensor:
        """Those of all sentences, [corpus]."""
        ...

    def at(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what its heads read of sentences [trials, rows], and their labels [trials, rows]."""
        ...


@dataclass(frozen=True)
class Embedded:
    """A corpus where the simulator computes: embeddings [corpus, dimension] and labels [corpus], and the precision to compute in."""

    embeddings: torch.Tensor
    labels: torch.Tensor
    dtype: torch.dtype

    def at(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return embeddings [..., dimension] and labels [...] of sentences [...]."""
        return self.embeddings[rows].to(self.dtype), self.labels[rows]


def scores(logits: torch.Tensor, labels: torch.Tensor) -> list[Score]:
    """Return the score of each trial by logits [trials, rows, 2] and labels [trials, rows], its loss in double precision."""
    losses = nn.functional.cross_entropy(logits.double().flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
    right = (logits.argmax(dim=2) == labels).cpu().numpy()
    return [Score(loss, marks) for loss, marks in zip(losses.mean(dim=1).tolist(), right, strict=True)]


@torch.no_grad()
def evaluate(head: HeadBatch, parameters: torch.Tensor, corpus: Readable, rows: torch.Tensor, draws: Draws) -> list[Score]:
    """Return the score of each trial's head on sentences [trials, rows], in blocks so that memory does not grow with the corpus.

    A block has EVALUATION_ROWS rows of every trial, however many trials there are: its size may decide the last bit of a trial's numbers.
    """
    logits = [head.logits(parameters, corpus.at(block)[0], draws) for block in torch.split(rows, EVALUATION_ROWS, dim=1)]
    return scores(torch.cat(logits, dim=1), corpus.labels[rows])
