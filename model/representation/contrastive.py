"""Contrastive tuning of a sentence encoder on a few labelled sentences (SetFit, Tunstall et al. 2022, arXiv 2209.11055).

Embeddings of one class are pulled together and those of different classes apart; embeddings.py caches the outcome.
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
from hadamard.model.representation.sentence_encoders import load_encoder
from hadamard.model.settings import Tuning

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

WARM_UP = 0.1
"""Fraction of the steps in which the learning rate rises linearly from zero; afterwards it falls linearly to zero."""


def draw_pairs(labels: npt.NDArray[np.int64], tuning: Tuning, rng: np.random.Generator) -> list[tuple[int, int, float]]:
    """Draw pairs of indices into `labels` [sentences] with their target similarity: 1.0 within a class, 0.0 across.

    For each sentence and epoch, `tuning.pairs` partners are drawn from its own class, itself left out, and as many from the other.

    Returns:
        All pairs of all epochs; the trainer shuffles them once more.
    """
    classes = [np.flatnonzero(labels == label) for label in (0, 1)]
    pairs: list[tuple[int, int, float]] = []
    for _ in range(tuning.epochs):
        epoch: list[tuple[int, int, float]] = []
        for index, label in enumerate(labels.tolist()):
            others = classes[label][classes[label] != index]
            for partners, similarity in ((others, 1.0), (classes[1 - label], 0.0)):
                epoch += [(index, int(partner), similarity) for partner in rng.choice(partners, tuning.pairs)]
        pairs += [epoch[position] for position in rng.permutation(len(epoch))]
    return pairs


def tune(
    directory: Path, texts: Sequence[str], labels: npt.NDArray[np.int64], tuning: Tuning, seed: int, should_stop: Callable[[], bool]
) -> SentenceTransformer:
    """Return the sentence encoder of this directory, tuned on labelled sentences; a function of seed and number of threads.

    Args:
        directory: Of a sentence-transformers model.
        texts: Sentences.
        labels: [sentences], 0 or 1.
        tuning: Settings of the tuning.
        seed: Of pairs and dropout.
        should_stop: Checked after each step.

    Raises:
        StopRequest: A stop was requested; the tuning so far is lost.
        DivergedError: A weight is infinite or not a number.
    """
    from datasets import Dataset, disable_progress_bars
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss
    from transformers import PrinterCallback

    disable_progress_bars()
    pairs = draw_pairs(labels, tuning, np.random.default_rng([seed, 2]))
    columns = {
        "first": [texts[first] for first, _, _ in pairs],
        "second": [texts[second] for _, second, _ in pairs],
        "score": [similarity for *_, similarity in pairs],
    }
    model = load_encoder(directory)
    with tempfile.TemporaryDirectory() as output:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=output,
            num_train_epochs=1,  # the pairs are those of all epochs
            per_device_train_batch_size=tuning.batch,
            learning_rate=tuning.lr,
            warmup_steps=WARM_UP,
            bf16=tuning.precision == "bfloat16",
            use_cpu=not torch.cuda.is_available(),
            seed=seed % 2**32,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",  # otherwise it looks for MLflow, which trials do not talk to
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = SentenceTransformerTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_dict(columns), loss=CosineSimilarityLoss(model)
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_stop_callback(should_stop))
        trainer.train()
    if should_stop():
        raise StopRequest
    if not all(weights.isfinite().all() for weights in model.parameters()):
        raise DivergedError(
            "tuning the sentence encoder diverged: a weight is infinite or not a number; a lower sentence_encoder.tuning.lr may help"
        )
    return model.eval()


def _stop_callback(should_stop: Callable[[], bool]) -> Any:
    from transformers import TrainerCallback

    class StopCallback(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = should_stop()

    return StopCallback()
