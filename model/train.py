"""Trains the trials of one pack, one after the other: `python -m model.train PACK_DIR THREADS`.

Owns the way from a `trial.json` to its `result.json`: split, head, training loop, evaluation. Knows nothing of Ray, Slurm or MLflow.
"""

from __future__ import annotations

import json
import math
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from model import checkpoint, embeddings, text
from model.errors import EXIT_DISK_FULL, EXIT_USER_ERROR, DataError, DivergedError, UserError, is_disk_full
from model.heads import MultiLayerPerceptron, QuantumClassifier
from model.journal import PackFiles, TrialFiles, write_atomically
from model.settings import EVALUATION_ROWS, LogisticHead, QuantumHead, SvcHead, Training, Trial
from model.simulators import choose

CHECKPOINT_EVERY_S = 5.0


@dataclass(frozen=True)
class Sentences:
    """Embeddings [sentences, dimension] and labels [sentences] of one side of a split."""

    embeddings: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy (None where a head gives no probabilities) and the share of sentences classified right."""

    loss: float | None
    accuracy: float


def train_pack(pack_directory: Path, threads: int) -> None:
    """Train every trial of the pack that has no result yet; a trial's own failure is recorded and the next one goes on."""
    torch.set_num_threads(threads)
    pack = PackFiles(pack_directory)
    for files in pack.trials:
        with files.locked():
            if files.result.exists():
                continue
            files.append("started", pack=pack_directory.name, host=socket.gethostname())
            try:
                train_trial(files)
            except Exception as error:
                if is_disk_full(error):
                    raise
                files.append("failed", cause=_cause(error), message=str(error)[:2000], traceback=traceback.format_exc()[-4000:])


def train_trial(files: TrialFiles) -> None:
    """Train one trial to its end, from its checkpoint if there is one, and write its result."""
    trial = Trial.model_validate_json(files.trial.read_text())
    train, validation, test = _sides(trial)
    head = trial.settings.head
    begin = time.perf_counter()
    if isinstance(head, LogisticHead | SvcHead):
        from model import classical  # scikit-learn takes longer to import than torch, and most packs never need it

        fitted = classical.fit(head, train.embeddings.numpy(), train.labels.numpy(), trial.seed)
        scores = [Score(*fitted.score(side.embeddings.numpy(), side.labels.numpy())) for side in (train, validation, test)]
        parameters = fitted.parameters
    else:
        module = _build(trial, train)
        _fit(files, module, trial.settings.training, train, validation, trial.seed)
        begin_evaluation = time.perf_counter()
        scores = [evaluate(module, side) for side in (train, validation, test)]
        files.append("evaluated", seconds=time.perf_counter() - begin_evaluation)
        parameters = sum(parameter.numel() for parameter in module.parameters())
    if not all(score.loss is None or math.isfinite(score.loss) for score in scores):
        raise DivergedError("the trained head's loss is not finite; a lower training.lr may help")
    responses = {
        f"{side}_{what}": getattr(score, what)
        for side, score in zip(("train", "validation", "test"), scores, strict=True)
        for what in ("accuracy", "loss")
    }
    write_atomically(files.result, json.dumps({"key": trial.key, "responses": responses, "parameters": parameters}, indent=1))
    files.append("done", seconds=time.perf_counter() - begin)
    files.checkpoint.unlink(missing_ok=True)


@torch.no_grad()
def evaluate(module: nn.Module, side: Sentences) -> Score:
    """Return the score of a trained head, in blocks of rows so that memory does not grow with the corpus."""
    logits = torch.cat([module(block) for block in torch.split(side.embeddings, EVALUATION_ROWS)])
    loss = nn.functional.cross_entropy(logits.double(), side.labels)
    return Score(float(loss), float((logits.argmax(dim=1) == side.labels).double().mean()))


def epoch_order(seed: int, epoch: int, sentences: int) -> torch.Tensor:
    """Return the order of an epoch's sentences: a function of seed and epoch alone, so that a resumed trial goes on the same."""
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(sentences))


def _fit(files: TrialFiles, module: nn.Module, training: Training, train: Sentences, validation: Sentences, seed: int) -> None:
    optimizer = torch.optim.Adam(module.parameters(), lr=training.lr, weight_decay=training.weight_decay)
    done = checkpoint.load(files, module, optimizer)
    journaled = max((event["epoch"] for event in files.events() if event["event"] == "epoch"), default=0)
    saved = time.monotonic()
    for epoch in range(done + 1, training.epochs + 1):
        begin = time.perf_counter()
        score = _train_epoch(module, optimizer, train, epoch_order(seed, epoch, len(train.labels)), training.batch)
        seen = evaluate(module, validation)
        if epoch > journaled:  # an epoch repeated after a crash gives the same numbers and is not told twice
            files.append(
                "epoch", epoch=epoch, train_loss=score.loss, train_accuracy=score.accuracy,
                validation_loss=seen.loss, validation_accuracy=seen.accuracy, seconds=time.perf_counter() - begin,
            )  # fmt: skip
        if time.monotonic() - saved > CHECKPOINT_EVERY_S:
            checkpoint.save(files, module, optimizer, epoch)
            saved = time.monotonic()


def _train_epoch(module: nn.Module, optimizer: torch.optim.Optimizer, train: Sentences, order: torch.Tensor, batch: int) -> Score:
    """Take one Adam step per batch; return the mean loss and accuracy seen on the way."""
    loss_sum, right = 0.0, 0
    for rows in torch.split(order, batch):
        logits = module(train.embeddings[rows])
        loss = nn.functional.cross_entropy(logits, train.labels[rows])
        if not torch.isfinite(loss):
            raise DivergedError(f"the training loss became {loss.item()}; a lower training.lr may help")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss_sum += loss.item() * len(rows)
        right += int((logits.argmax(dim=1) == train.labels[rows]).sum())
    return Score(loss_sum / len(order), right / len(order))


def _build(trial: Trial, train: Sentences) -> nn.Module:
    generator = torch.Generator().manual_seed(trial.seed)
    head = trial.settings.head
    if isinstance(head, QuantumHead):
        return QuantumClassifier(head, train.embeddings, choose(trial.settings.simulator), generator)
    assert not isinstance(head, LogisticHead | SvcHead)
    return MultiLayerPerceptron(head, train.embeddings.shape[1], generator)


def _sides(trial: Trial) -> tuple[Sentences, Sentences, Sentences]:
    """Return train, validation and test; the corpus is read anew and must still be the one that was planned with."""
    corpus = text.load(trial.settings.data)
    if corpus.hash != trial.data_hash:
        raise DataError(f"the corpus {corpus.source} changed since the study was planned; run the study again in a new directory")
    embedded = embeddings.load(corpus.hash, trial.sentence_encoder_hash)
    split = text.split(corpus, trial.settings.data, trial.split_seed)
    train, validation, test = (
        Sentences(torch.from_numpy(np.asarray(embedded[rows])), torch.from_numpy(corpus.labels[rows]))
        for rows in (split.train, split.validation, split.test)
    )
    return train, validation, test


def _cause(error: Exception) -> str:
    """Name why a trial failed, in the ledger's words."""
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, MemoryError) or "not enough memory" in str(error) or isinstance(error, torch.OutOfMemoryError):
        return "out of memory"
    return "bad input" if isinstance(error, UserError) else "error"


def main() -> None:
    """Run as a program; exit code 0: every trial has a result or a recorded failure."""
    try:
        train_pack(Path(sys.argv[1]), int(sys.argv[2]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except OSError as error:
        if not is_disk_full(error):
            raise
        print(f"error: no space left on the disk that holds {sys.argv[1]}", file=sys.stderr)
        sys.exit(EXIT_DISK_FULL)


if __name__ == "__main__":
    main()
