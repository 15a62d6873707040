"""Tunes a sentence encoder by contrast on a few labelled sentences: sentences of a class are drawn together, the others apart.

Owns which pairs are drawn and how the library's trainer is set up (Tunstall et al. 2022, arXiv 2209.11055). Does not own which sentences
these are, nor where what comes of it is kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from hadamard.model.errors import DivergedError, StopRequest
from hadamard.model.settings import Tuning

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

WARM_UP = 0.1
"""Part of the steps in which the learning rate rises, before it falls to nothing, both in a line."""


def draw_pairs(labels: npt.NDArray[np.int64], tuning: Tuning, generator: np.random.Generator) -> list[tuple[int, int, float]]:
    """Draw pairs of places in `labels` [sentences] with the likeness wanted of each: 1.0 in a class, 0.0 across.

    For each sentence and epoch, `pairs` partners are drawn from its own class, itself left out, and as many from the other.

    Returns:
        All pairs of all epochs; the trainer shuffles them once more.
    """
    sides = [np.flatnonzero(labels == label) for label in (0, 1)]
    found: list[tuple[int, int, float]] = []
    for _ in range(tuning.epochs):
        epoch: list[tuple[int, int, float]] = []
        for place, label in enumerate(labels.tolist()):
            own = sides[label][sides[label] != place]
            for partners, wanted in ((own, 1.0), (sides[1 - label], 0.0)):
                epoch += [(place, int(partner), wanted) for partner in generator.choice(partners, tuning.pairs)]
        found += [epoch[at] for at in generator.permutation(len(epoch))]
    return found


def tuned(
    directory: Path, texts: Sequence[str], labels: npt.NDArray[np.int64], tuning: Tuning, seed: int, should_stop: Callable[[], bool]
) -> SentenceTransformer:
    """Return the sentence encoder of this directory, tuned on these sentences; the same for the same seed and number of threads.

    Args:
        directory: Of a sentence-transformers model.
        texts: Sentences.
        labels: Of each, 0 or 1.
        tuning: How.
        seed: Of pairs and dropout.
        should_stop: Asked after each step.

    Raises:
        StopRequest: It was told to stop; nothing of it is kept.
        DivergedError: The weights are no longer numbers.
    """
    from datasets import Dataset, disable_progress_bars
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss
    from transformers import PrinterCallback

    disable_progress_bars()
    pairs = draw_pairs(labels, tuning, np.random.default_rng([seed, 2]))
    columns = {
        "first": [texts[first] for first, _, _ in pairs],
        "second": [texts[second] for _, second, _ in pairs],
        "score": [wanted for *_, wanted in pairs],
    }
    model = SentenceTransformer(str(directory))
    with tempfile.TemporaryDirectory() as nothing:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=nothing,
            num_train_epochs=1,  # the pairs of all epochs are there
            per_device_train_batch_size=tuning.batch,
            learning_rate=tuning.lr,
            warmup_steps=WARM_UP,
            bf16=tuning.precision == "bfloat16",
            use_cpu=not torch.cuda.is_available(),
            seed=seed % 2**32,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",  # else it looks for MLflow, which is not a trial's to talk to
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = SentenceTransformerTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_dict(columns), loss=CosineSimilarityLoss(model)
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_stops(should_stop))
        trainer.train()
    if should_stop():
        raise StopRequest
    if not all(weights.isfinite().all() for weights in model.parameters()):
        raise DivergedError("tuning the sentence encoder gave no numbers; a lower sentence_encoder.tuning.lr may help")
    return model.eval()


def _stops(should_stop: Callable[[], bool]) -> Any:
    from transformers import TrainerCallback

    class Stops(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = should_stop()

    return Stops()
