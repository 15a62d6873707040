"""A head and the sentence encoder below it, trained together: one row of parameters holds both.

Owns how sentences become embeddings that have a gradient. Does not own head, optimiser and checkpoint, which see only parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from hadamard.model.heads.base import Draws, HeadBatch
from hadamard.model.representation.embeddings import without_network
from hadamard.model.settings import Training, Tuning


@dataclass(frozen=True)
class Numbered:
    """A corpus by the numbers of its sentences, for heads that read the texts themselves.

    Attributes:
        labels: [corpus].
    """

    labels: torch.Tensor

    def at(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the numbers of sentences [trials, rows] as they are, and their labels."""
        return rows, self.labels[rows]


class UnfrozenHead:
    """One trial's head on embeddings that are trained with it.

    The parameters of the encoder are what it has moved from its weights, in units of its own learning rate over the head's: Adam, which
    moves every parameter by about its learning rate, then moves encoder and head each by their own, and weight decay draws the encoder
    back to where it began. Nothing is dropped out, so that a trial is a function of its seed.
    """

    def __init__(
        self, head: HeadBatch, directory: Path, texts: Sequence[str], tuning: Tuning, training: Training, device: torch.device
    ) -> None:
        """Put a head of one trial on the sentence encoder of this directory.

        Args:
            head: On embeddings, of one trial.
            directory: Of a sentence-transformers model.
            texts: Of the corpus.
            tuning: Learning rate and precision of the encoder.
            training: Of the head.
            device: Where its parameters are.
        """
        from sentence_transformers import SentenceTransformer

        without_network()
        self.head, self.texts = head, texts
        self.encoder = SentenceTransformer(str(directory), device=str(device)).eval().requires_grad_(False)
        self.weights = dict(self.encoder.named_parameters())
        self.sizes = [weight.numel() for weight in self.weights.values()]
        self.unit = tuning.lr / training.lr
        self.low = tuning.precision == "bfloat16"

    def start(self, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Draw the head's parameters; the encoder has not moved."""
        drawn = self.head.start(generators)
        return torch.cat([drawn, drawn.new_zeros(len(drawn), sum(self.sizes))], dim=1)

    def logits(self, parameters: torch.Tensor, embeddings: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return logits [1, rows, 2]; what it is given for embeddings are the numbers of the sentences, [1, rows]."""
        of_head, *parts = torch.split(parameters, [parameters.shape[1] - sum(self.sizes), *self.sizes], dim=1)
        moved_to = {
            name: weight + self.unit * part.view_as(weight) for (name, weight), part in zip(self.weights.items(), parts, strict=True)
        }
        features: Any = self.encoder.preprocess([self.texts[row] for row in embeddings[0].tolist()])
        features = {name: value.to(parameters.device) if isinstance(value, torch.Tensor) else value for name, value in features.items()}
        with torch.autocast(parameters.device.type, torch.bfloat16, enabled=self.low):
            embedded = torch.func.functional_call(self.encoder, moved_to, (features,))["sentence_embedding"]
        return self.head.logits(of_head, embedded.to(parameters.dtype)[None], draws)

    def only(self, trials: Sequence[int]) -> Self:
        """Return the head of the trial, there being one."""
        return self
