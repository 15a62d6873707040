"""Trains the trials of a team together: a batch of each, one simulator call for all of them, one optimiser step.

Owns who trains with whom, the epochs, and their events and checkpoints. Does not own heads, the optimiser, or what a result is.

A trial's numbers depend on what is its own: seeds, settings, its row of the parameters. In company they are those it has alone, to the bit
where the simulator keeps rows apart to the bit (`compiled` does), else within rounding: after a few hundred steps, losses agree within
1e-4 in float32 and 1e-10 in float64.
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
from hadamard.model.heads.base import Draws, GradientHead, HeadBatch, Score
from hadamard.model.heads.quantum.noise import noise_generator
from hadamard.model.mpi.ranks import Ranks
from hadamard.model.representation.sentence_encoders import locate
from hadamard.model.representation.sentences import Sentences
from hadamard.model.simulators.base import Simulator
from hadamard.model.simulators.registry import open_simulator
from hadamard.model.simulators.select import resolve
from hadamard.model.training.adam import Adam
from hadamard.model.training.evaluation import Embedded, Readable, evaluate, scores
from hadamard.model.training.trial_run import TrialRun, split_wall_time

CHECKPOINT_EVERY_S = 5.0
CHECKPOINT_SHARE = 0.1
"""Of the time, checkpoints take no more: on the file systems of clusters a single one may take tens of milliseconds."""


class BatchTrainer:
    """Members alike in shape (`Trial.shape`), each with a row of the parameters and of the sides of its split."""

    def __init__(
        self, members: Sequence[TrialRun], sentences: Sentences, phases: Phases, should_stop: Callable[[], bool], ranks: Ranks
    ) -> None:
        """Give each member its initial parameters, or those of its checkpoint; one whose files are damaged fails, and the others go on.

        Args:
            members: Who is trained.
            sentences: Of their common corpus.
            phases: Told what is done for whom.
            should_stop: Asked between epochs; if so, members are saved and a StopRequest is raised.
            ranks: The MPI ranks that this process leads, or itself alone.

        Raises:
            SettingsError: The simulator cannot be opened here.
        """
        self.members, self.phases, self.should_stop = members, phases, should_stop
        phases.begin("training", [member.files for member in members])
        trials = [member.trial for member in members]
        settings = trials[0].settings
        self.training = [trial.settings.training for trial in trials]
        self.simulator: str | None = None
        simulator, device = None, torch.device("cpu")
        if settings.head.simulated:
            circuits = [use.circuit for use in settings.head.circuits()]
            self.simulator = resolve(settings.simulator, circuits, settings.precision, ranks.count).name
            simulator = open_simulator(self.simulator, ranks)
            device = simulator.device
        splits = [sentences.split(trial) for trial in trials]
        self.train, self.validation, self.test = (
            torch.from_numpy(np.stack([getattr(split, side) for split in splits])).to(device) for side in ("train", "validation", "test")
        )
        embedded = Embedded(
            torch.from_numpy(sentences.embeddings).to(device),
            torch.from_numpy(sentences.labels).to(device),
            getattr(torch, settings.precision),
        )
        self.corpus: Readable = embedded
        self.head = self._build(embedded, simulator)
        if settings.sentence_encoder.representation == "unfrozen":
            from hadamard.model.representation.unfrozen import Numbered, UnfrozenHead

            directory = locate(settings.sentence_encoder.name).directory
            self.corpus = Numbered(embedded.labels)
            tuning = settings.sentence_encoder.tuning
            self.head = UnfrozenHead(self.head, directory, sentences.texts, tuning, settings.training, device)
        start = self.head.start([torch.Generator().manual_seed(trial.seed) for trial in trials])
        self.state = torch.stack([start, torch.zeros_like(start), torch.zeros_like(start)])
        self.journaled = [0] * len(members)
        for place, member in enumerate(members):
            try:
                member.epoch = checkpoint.load(member.files, self.state[:, place])
                self.journaled[place] = max((event["epoch"] for event in member.files.events() if event["event"] == "epoch"), default=0)
            except Exception as error:
                member.fail(error)

    def fit(self) -> None:
        """Train all members to their last epoch: always those that are furthest behind, until they have caught up with the next ones."""
        last = self.training[0].epochs
        while behind := {member.epoch for member in self.members if member.is_open and member.epoch < last}:
            first, *others = sorted(behind | {last})
            self._train(self._open_at(first), first, others[0])

    def finish(self) -> None:
        """Evaluate the members on all sides of their splits and write their results."""
        places = self._open_at(self.training[0].epochs)
        if not places:
            return
        self._stop_if_told(places, self.state[:, places])
        begin = time.perf_counter()
        head, parameters = self.head.only(places), self.state[0, places]
        draws = self._draws(places, self.training[0].epochs + 1)
        rows_of_sides = (self.train, self.validation, *([self.test] if self.test.shape[1] else []))  # a fold sees no test sentence
        members = [self.members[place] for place in places]
        self.phases.begin("inference", [member.files for member in members], sum(rows.shape[1] for rows in rows_of_sides))
        sides = [evaluate(head, parameters, self.corpus, rows[places], draws) for rows in rows_of_sides]
        self.phases.pause()
        seconds = split_wall_time(members, begin)
        for member, *seen in zip(members, *sides, strict=True):
            member.files.append("evaluated", seconds=seconds)
            member.finish(seen, parameters.shape[1], self.simulator)

    def _train(self, places: list[int], epoch: int, until: int) -> None:
        """Train the members at these places, all at the same epoch, until the given one, or until one of them diverges."""
        members, head = [self.members[place] for place in places], self.head.only(places)
        named = [member.files for member in members]
        batch = self.training[0].batch
        train, validation = self.train[places], self.validation[places]
        steps = epoch * math.ceil(train.shape[1] / batch)
        adam = Adam(self.state[:, places], [self.training[place] for place in places], steps)
        saved, pause_s = time.monotonic(), CHECKPOINT_EVERY_S
        while epoch < until and all(member.is_open for member in members):
            self._stop_if_told(places, adam.state)
            begin, epoch = time.perf_counter(), epoch + 1
            order = torch.stack([epoch_order(member.trial.seed, epoch, train.shape[1]) for member in members])
            draws = self._draws(places, epoch)
            self.phases.begin("training", named)
            seen = train_epoch(head, adam, self.corpus, train.gather(1, order.to(train.device)), batch, draws)
            self.phases.begin("evaluation", named, validation.shape[1])
            checked = evaluate(head, adam.parameters, self.corpus, validation, draws)
            self.phases.pause()
            whole = adam.parameters.isfinite().all(dim=1).tolist()
            seconds = split_wall_time(members, begin)
            for row, place in enumerate(places):
                self._record(place, epoch, seen[row], checked[row], whole[row], seconds)
            now = time.monotonic()
            if now - saved > pause_s and epoch < until:
                self._save(places, adam.state)
                saved = time.monotonic()
                pause_s = max(CHECKPOINT_EVERY_S, (saved - now) / CHECKPOINT_SHARE)
        self.state[:, places] = adam.state.detach()

    def _record(self, place: int, epoch: int, seen: Score, checked: Score, whole: bool, seconds: float) -> None:
        """Record an epoch of one member, or that it has diverged; `seconds` are its share of the wall time."""
        member = self.members[place]
        if not (seen.is_finite and checked.is_finite and whole):
            what = f"the training loss became {seen.loss}" if not seen.is_finite else "parameters became infinite or no numbers"
            member.fail(DivergedError(f"{what} in epoch {epoch}; a lower training.lr may help"))
            return
        member.epoch = epoch
        if epoch > self.journaled[place]:  # an epoch repeated after a crash gives the same numbers and is not told twice
            member.files.append(
                "epoch", epoch=epoch, train_loss=seen.loss, train_accuracy=seen.accuracy,
                validation_loss=checked.loss, validation_accuracy=checked.accuracy, seconds=seconds,
            )  # fmt: skip

    def _stop_if_told(self, places: list[int], state: torch.Tensor) -> None:
        """Save those in training and end, if told so; all others are as their checkpoints, or not begun."""
        if self.should_stop():
            self._save(places, state)
            raise StopRequest

    def _save(self, places: list[int], state: torch.Tensor) -> None:
        for row, place in enumerate(places):
            if self.members[place].is_open:
                checkpoint.save(self.members[place].files, state[:, row], self.members[place].epoch)

    def _open_at(self, epoch: int) -> list[int]:
        return [place for place, member in enumerate(self.members) if member.is_open and member.epoch == epoch]

    def _draws(self, places: list[int], epoch: int) -> Draws:
        return [noise_generator(self.members[place].trial.seed, epoch) for place in places]

    def _build(self, corpus: Embedded, simulator: Simulator | None) -> HeadBatch:
        settings = [head for member in self.members if isinstance(head := member.trial.settings.head, GradientHead)]
        sides = [(member.trial.split_seed, member.trial.fold) for member in self.members]
        fitted_on = {side: corpus.at(rows)[0] for side, rows in zip(sides, self.train, strict=True)}
        embeddings = [fitted_on[side] for side in sides]
        return type(settings[0]).build(settings, embeddings, simulator)


def epoch_order(seed: int, epoch: int, sentences: int) -> torch.Tensor:
    """Return the order of an epoch's sentences: a function of seed and epoch alone, so that a resumed trial goes on the same."""
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(sentences))


def train_epoch(head: HeadBatch, adam: Adam, corpus: Readable, rows: torch.Tensor, batch: int, draws: Draws) -> list[Score]:
    """Take one step per batch of the sentences [trials, rows], in this order; return each trial's mean score seen on the way."""
    seen = []
    for block in torch.split(rows, batch, dim=1):
        embeddings, labels = corpus.at(block)
        logits = head.logits(adam.parameters, embeddings, draws)
        # The sum over trials of their mean losses: its gradient by a trial's parameters is that of its own loss.
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / block.shape[1]
        adam.step(*torch.autograd.grad(loss, adam.parameters))
        seen.append(logits.detach())
    return scores(torch.cat(seen, dim=1), corpus.labels[rows])
