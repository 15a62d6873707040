"""Trains the trials of one shape together: one mini-batch of each, one simulator call for all of them, one optimiser step.

A trial's numbers depend only on what is its own: seeds, settings, its row of the parameters. Trained together they are bit-identical to
those it has alone where the simulator computes rows independently (`compiled` does), else the same within rounding: after a few hundred
steps, losses agree within 1e-4 in float32 and 1e-10 in float64.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from hadamard.model.errors import DivergedError, StopRequest
from hadamard.model.files import checkpoint
from hadamard.model.files.phase_log import Phases
from hadamard.model.heads.base import GradientHead, HeadBatch, Rngs, Score
from hadamard.model.mpi.ranks import Ranks
from hadamard.model.representation.embedded_corpus import EmbeddedCorpus
from hadamard.model.representation.sentence_encoders import locate
from hadamard.model.simulators.base import Simulator
from hadamard.model.simulators.registry import open_simulator
from hadamard.model.simulators.select import resolve
from hadamard.model.training.adam import Adam
from hadamard.model.training.checkpoint_timer import CheckpointTimer
from hadamard.model.training.evaluation import EmbeddingInputs, HeadInputs, evaluate, scores
from hadamard.model.training.random_streams import epoch_order, initial_generator, noise_rng
from hadamard.model.training.trial_run import SETS, TrialRun, split_wall_time
from hadamard.model.trial import Trial


class BatchTrainer:
    """Trains runs of one shape (`Trial.shape`): run k has row k of the parameters and of the index tensors of its split.

    Attributes:
        head: The heads of all runs.
        state: [3, runs, parameters], parameters and moments (`Adam.state`).
        simulator: The name of the simulator; None where no circuit is simulated.
    """

    def __init__(
        self,
        runs: Sequence[TrialRun],
        corpus: EmbeddedCorpus,
        phases: Phases,
        should_stop: Callable[[], bool],
        ranks: Ranks,
        timer: CheckpointTimer,
    ) -> None:
        """Give each run its initial parameters, or those of its checkpoint; one whose files are damaged fails, and the others continue.

        Args:
            runs: The trials to train.
            corpus: What all of them read.
            phases: Records which phase is running for which trials.
            should_stop: Checked between epochs; if it returns True, runs are saved and a StopRequest is raised.
            ranks: The MPI ranks that this process leads, or itself alone.
            timer: Says when checkpoints are due.

        Raises:
            SettingsError: The simulator cannot be opened here.
        """
        self.runs, self.phases, self.should_stop, self.timer = runs, phases, should_stop, timer
        phases.begin("training", [run.files for run in runs])
        trials = [run.trial for run in runs]
        settings = trials[0].settings
        self.training = [trial.settings.training for trial in trials]
        self.simulator: str | None = None
        simulator, device = None, torch.device("cpu")
        if settings.head.simulated:
            circuits = [use.circuit for use in settings.head.circuits()]
            self.simulator = resolve(settings.simulator, circuits, settings.precision, ranks.count).name
            simulator = open_simulator(self.simulator, ranks)
            device = simulator.device
        self.train, self.validation, self.test = (rows.to(device) for rows in _rows_of_splits(corpus, trials))
        embeddings, labels = torch.from_numpy(corpus.embeddings).to(device), torch.from_numpy(corpus.labels).to(device)
        inputs = EmbeddingInputs(embeddings, labels, getattr(torch, settings.precision))
        self.inputs: HeadInputs = inputs
        self.head = _build(trials, inputs, self.train, simulator)
        if settings.sentence_encoder.representation == "unfrozen":
            from hadamard.model.representation.unfrozen import RowNumbers, UnfrozenHead  # imports sentence-transformers

            directory, tuning = locate(settings.sentence_encoder.name).directory, settings.sentence_encoder.tuning
            self.head = UnfrozenHead(self.head, directory, corpus.texts, tuning, settings.training, device)
            self.inputs = RowNumbers(labels)
        parameters = self.head.initial_parameters([initial_generator(trial.seed) for trial in trials])
        self.state = torch.stack([parameters, torch.zeros_like(parameters), torch.zeros_like(parameters)])
        self._journaled_epochs = [self._restore(index) for index in range(len(runs))]

    def fit(self) -> None:
        """Train all runs to their last epoch: always those that are furthest behind, until they have caught up with the next ones."""
        last = self.training[0].epochs
        while behind := {run.epoch for run in self.runs if run.is_open and run.epoch < last}:
            first, *others = sorted(behind | {last})
            self._train(self._open_at(first), first, others[0])

    def finish(self) -> None:
        """Evaluate the runs on all sets of their splits and write their results."""
        indices = self._open_at(self.training[0].epochs)
        if not indices:
            return
        self._stop_if_requested(indices, self.state[:, indices])
        begin = time.perf_counter()
        head, parameters = self.head.select(indices), self.state[0, indices]
        rngs = self._noise_rngs(indices, self.training[0].epochs + 1)
        sets = (self.train, self.validation, *([self.test] if self.test.shape[1] else []))  # a fold has no test sentences
        runs = [self.runs[index] for index in indices]
        self.phases.begin("inference", [run.files for run in runs], sum(rows.shape[1] for rows in sets))
        by_set = [evaluate(head, parameters, self.inputs, rows[indices], rngs) for rows in sets]
        self.phases.pause()
        seconds = split_wall_time(runs, begin)
        for run, *scores_of_run in zip(runs, *by_set, strict=True):
            run.files.append("evaluated", seconds=seconds)
            run.finish(scores_of_run, parameters.shape[1], self.simulator)

    def _train(self, indices: list[int], epoch: int, until: int) -> None:
        """Train these runs from one epoch to another, or until one of them diverges."""
        runs, head = [self.runs[index] for index in indices], self.head.select(indices)
        files = [run.files for run in runs]
        batch = self.training[0].batch
        train, validation = self.train[indices], self.validation[indices]
        steps = epoch * math.ceil(train.shape[1] / batch)
        adam = Adam(self.state[:, indices], [self.training[index] for index in indices], steps)
        while epoch < until and all(run.is_open for run in runs):
            self._stop_if_requested(indices, adam.state)
            begin, epoch = time.perf_counter(), epoch + 1
            order = torch.stack([epoch_order(run.trial.seed, epoch, train.shape[1]) for run in runs])
            rngs = self._noise_rngs(indices, epoch)
            self.phases.begin("training", files)
            train_scores = train_epoch(head, adam, self.inputs, train.gather(1, order.to(train.device)), batch, rngs)
            self.phases.begin("evaluation", files, validation.shape[1])
            validation_scores = evaluate(head, adam.parameters, self.inputs, validation, rngs)
            self.phases.pause()
            finite = adam.parameters.isfinite().all(dim=1).tolist()
            seconds = split_wall_time(runs, begin)
            for row, index in enumerate(indices):
                self._record(index, epoch, train_scores[row], validation_scores[row], finite[row], seconds)
            if epoch < until and self.timer.is_due:
                with self.timer.saving():
                    self._save(indices, adam.state)
        self.state[:, indices] = adam.state.detach()

    def _record(self, index: int, epoch: int, train: Score, validation: Score, finite: bool, seconds: float) -> None:
        """Record an epoch of one run, or that it has diverged.

        Args:
            index: Of the run.
            epoch: Just finished.
            train: Mean score of the mini-batches, each before its step.
            validation: Score on the validation set after the epoch.
            finite: Whether all parameters are finite.
            seconds: The run's share of the wall time.
        """
        run = self.runs[index]
        if not (train.is_finite and validation.is_finite and finite):
            if not train.is_finite:
                what = f"the training loss became {train.loss}"
            elif not finite:
                what = "parameters became infinite or not a number"
            else:
                what = f"the validation loss became {validation.loss}"
            run.fail(DivergedError(f"{what} in epoch {epoch}; a lower training.lr may help"))
            return
        run.epoch = epoch
        if epoch > self._journaled_epochs[index]:  # an epoch repeated after a crash gives the same numbers and is not recorded twice
            run.files.append(
                "epoch", epoch=epoch, train_loss=train.loss, train_accuracy=train.accuracy,
                validation_loss=validation.loss, validation_accuracy=validation.accuracy, seconds=seconds,
            )  # fmt: skip

    def _restore(self, index: int) -> int:
        """Load a run's checkpoint, if there is one; return the last epoch in its journal. A run whose files are damaged fails."""
        run = self.runs[index]
        try:
            run.epoch = checkpoint.load(run.files, self.state[:, index])
            return max((event["epoch"] for event in run.files.events() if event["event"] == "epoch"), default=0)
        except Exception as error:
            run.fail(error)
            return 0

    def _stop_if_requested(self, indices: list[int], state: torch.Tensor) -> None:
        """If a stop is requested, save the runs in training and raise StopRequest; all others are as their checkpoints, or not begun."""
        if self.should_stop():
            self._save(indices, state)
            raise StopRequest

    def _save(self, indices: list[int], state: torch.Tensor) -> None:
        for row, index in enumerate(indices):
            if self.runs[index].is_open:
                checkpoint.save(self.runs[index].files, state[:, row], self.runs[index].epoch)

    def _open_at(self, epoch: int) -> list[int]:
        return [index for index, run in enumerate(self.runs) if run.is_open and run.epoch == epoch]

    def _noise_rngs(self, indices: list[int], epoch: int) -> Rngs:
        return [noise_rng(self.runs[index].trial.seed, epoch) for index in indices]


def train_epoch(head: HeadBatch, adam: Adam, inputs: HeadInputs, rows: torch.Tensor, batch: int, rngs: Rngs) -> list[Score]:
    """Take one step per mini-batch of the sentences [trials, rows], in this order; return each trial's mean score before the steps."""
    logits_of_batches = []
    for batch_rows in torch.split(rows, batch, dim=1):
        embeddings, labels = inputs.at(batch_rows)
        logits = head.logits(adam.parameters, embeddings, rngs)
        # The sum over trials of their mean losses: its gradient by a trial's parameters is that of its own loss.
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / batch_rows.shape[1]
        adam.step(*torch.autograd.grad(loss, adam.parameters))
        logits_of_batches.append(logits.detach())
    return scores(torch.cat(logits_of_batches, dim=1), inputs.labels[rows])


def _rows_of_splits(corpus: EmbeddedCorpus, trials: Sequence[Trial]) -> list[torch.Tensor]:
    """Return the corpus rows of training, validation and test set, [trials, sentences] each."""
    splits = {(trial.split_seed, trial.fold): corpus.split(trial) for trial in trials}
    of_trials = [splits[trial.split_seed, trial.fold] for trial in trials]
    return [torch.from_numpy(np.stack([getattr(split, name) for split in of_trials])) for name in SETS]


def _build(trials: Sequence[Trial], inputs: EmbeddingInputs, train: torch.Tensor, simulator: Simulator | None) -> HeadBatch:
    """Make the heads of trials whose training sets are the corpus rows [trials, sentences]; trials of one split share its tensor."""
    settings = [head for trial in trials if isinstance(head := trial.settings.head, GradientHead)]
    splits = [(trial.split_seed, trial.fold) for trial in trials]
    embeddings = {split: inputs.at(rows)[0] for split, rows in zip(splits, train, strict=True)}
    return type(settings[0]).build(settings, [embeddings[split] for split in splits], simulator)
