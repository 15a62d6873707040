"""A head and the sentence encoder below it, trained together: one row of parameters holds both.

Implements `HeadBatch` of model/heads/base.py for one trial, so that trainer, optimiser and checkpoints need not know of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from hadamard.model.heads.base import HeadBatch, Rngs
from hadamard.model.representation.sentence_encoders import load_encoder
from hadamard.model.settings import Training, Tuning


@dataclass(frozen=True)
class RowNumbers:
    """What a head reads that embeds the sentences itself: their row numbers in the corpus.

    Attributes:
        labels: [corpus].
    """

    labels: torch.Tensor

    def at(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the rows [trials, rows] unchanged, and their labels [trials, rows]."""
        return rows, self.labels[rows]


class UnfrozenHead:
    """One trial's head together with the sentence encoder below it.

    The encoder's parameters are offsets from its pretrained weights, in units of its own learning rate over the head's: Adam moves every
    parameter by about its learning rate, so encoder and head each move by their own, and weight decay pulls the encoder back to the
    pretrained weights. There is no dropout, so that a trial is a function of its seed.
    """

    def __init__(
        self, head: HeadBatch, directory: Path, texts: Sequence[str], tuning: Tuning, training: Training, device: torch.device
    ) -> None:
        """Put the head of one trial on a sentence encoder.

        Args:
            head: The head of one trial, on embeddings.
            directory: Of a sentence-transformers model.
            texts: [corpus].
            tuning: Learning rate and precision of the encoder.
            training: Learning rate of the head.
            device: That of the parameters.
        """
        self.head, self.texts = head, texts
        self.encoder = load_encoder(directory, str(device)).eval().requires_grad_(False)
        self.weights = dict(self.encoder.named_parameters())
        self.sizes = [weight.numel() for weight in self.weights.values()]
        self.unit = tuning.lr / training.lr
        self.low_precision = tuning.precision == "bfloat16"

    def initial_parameters(self, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Draw the head's initial parameters; the encoder's offsets are zero."""
        of_head = self.head.initial_parameters(generators)
        return torch.cat([of_head, of_head.new_zeros(len(of_head), sum(self.sizes))], dim=1)

    def logits(self, parameters: torch.Tensor, embeddings: torch.Tensor, rngs: Rngs) -> torch.Tensor:
        """Return logits [1, rows, 2]; in place of embeddings it takes row numbers of the corpus, [1, rows]."""
        of_head, *offsets = torch.split(parameters, [parameters.shape[1] - sum(self.sizes), *self.sizes], dim=1)
        weights = {
            name: weight + self.unit * offset.view_as(weight) for (name, weight), offset in zip(self.weights.items(), offsets, strict=True)
        }
        features: Any = self.encoder.preprocess([self.texts[row] for row in embeddings[0].tolist()])
        features = {name: value.to(parameters.device) if isinstance(value, torch.Tensor) else value for name, value in features.items()}
        with torch.autocast(parameters.device.type, torch.bfloat16, enabled=self.low_precision):
            embedded = torch.func.functional_call(self.encoder, weights, (features,))["sentence_embedding"]
        return self.head.logits(of_head, embedded.to(parameters.dtype)[None], rngs)

    def select(self, trials: Sequence[int]) -> Self:
        """Return this head, there being one trial."""
        return self
