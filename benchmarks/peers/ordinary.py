"""The ordinary way to do a study: Ray Tune, one trial each, a plain training loop over PennyLane QNodes on lightning.qubit.

It is written as the manuals of PennyLane and Ray would have it: adjoint gradients, the batch broadcast, a core per trial.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.peers.with_qnodes import qnode
from hadamard.cluster.allocation import Allocation
from hadamard.model.heads.base import CLASSES
from hadamard.model.heads.quantum.amplitude_encoding import AmplitudeEncoding
from hadamard.model.heads.quantum.settings import QuantumHead, encoder_and_second_module
from hadamard.model.representation.embedded_corpus import load_embedded_corpus
from hadamard.model.trial import Trial
from hadamard.orchestrator.execution.ray_tune import ray_cluster

DEVICE = "lightning.qubit"
TRAINING_SHARE = 0.8
"""Part of a trial's time that goes to training steps; the rest to evaluation."""


@dataclass(frozen=True)
class Rates:
    """What a trial of one shape was seen to take, beside others on the other cores.

    Attributes:
        steps: Training steps measured.
        step_s: Seconds of one by the clock.
        rows: Sentences evaluated.
        row_s: Seconds of one by the clock.
    """

    steps: int
    step_s: float
    rows: int
    row_s: float


class OrdinaryHead(nn.Module):
    """The paper's head as QNodes: an encoder, the second module, a linear layer."""

    def __init__(self, settings: QuantumHead) -> None:
        """Draw initial parameters in double precision, to which PennyLane computes."""
        super().__init__()
        self.settings = settings
        encoder, self.second_module = encoder_and_second_module(settings)
        self.encode = qnode(encoder, DEVICE, "adjoint", from_states=True)
        self.classify = qnode(self.second_module, DEVICE, "adjoint", from_states=False)
        uniform = [torch.empty(shape).uniform_(-1, 1) for shape in ((settings.encoders, encoder.weights), (self.second_module.weights,))]
        self.encoder_weights, self.second_weights = (nn.Parameter(settings.initial_angles * part.double()) for part in uniform)
        self.linear = nn.Linear(settings.measured, CLASSES, dtype=torch.float64)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return logits [rows, 2] of states [rows, 2**qubits]."""
        outputs = [torch.stack(list(self.encode(states, weights)), dim=-1) for weights in self.encoder_weights]
        scale = math.pi if self.settings.angle_scale == "pi" else self.settings.angle_scale
        merged = torch.stack(outputs).mean(dim=0) if self.settings.merge == "mean" else torch.cat(outputs, dim=-1)
        inputs = scale * merged[:, : self.second_module.inputs]
        measured = torch.stack(list(self.classify(inputs, self.second_weights)), dim=-1)
        logits: torch.Tensor = self.linear(measured)
        return logits


def measure(trials: Sequence[Trial], seconds: float, allocation: Allocation, directory: Path) -> list[Rates]:
    """Train each trial for this many seconds under Ray Tune, as many at once as there are cores; return the rates.

    Args:
        trials: One of each shape; their embeddings are in the cache.
        seconds: For each, its start not counted; a step that has begun is finished.
        allocation: The cores.
        directory: Where Tune keeps its state.
    """
    with ray_cluster(allocation, dashboard=False):
        from ray import tune  # not before: its access is fixed then

        tuner = tune.Tuner(
            tune.with_resources(_train, {"cpu": 1}),
            param_space={
                "trial": tune.grid_search([trial.model_dump_json() for trial in trials]),
                "seconds": seconds,
                "working_directory": os.getcwd(),
            },
            run_config=tune.RunConfig(name="ordinary", storage_path=str(directory.absolute()), verbose=0),
        )
        grid = tuner.fit()
    if grid.errors:
        raise RuntimeError(f"the ordinary way failed: {grid.errors[0]}")
    by_key = {metrics["key"]: metrics for metrics in (grid[place].metrics for place in range(len(grid))) if metrics}
    return [Rates(**{field.name: by_key[trial.key][field.name] for field in fields(Rates)}) for trial in trials]


def _train(config: dict[str, Any]) -> None:
    """Train and evaluate one trial for a while; this is what Ray starts, in a worker process."""
    from ray import tune

    os.chdir(config["working_directory"])
    torch.set_num_threads(1)
    trial = Trial.model_validate_json(config["trial"])
    tune.report({"key": trial.key, **asdict(rates(trial, config["seconds"]))})


def rates(trial: Trial, seconds: float) -> Rates:
    """Return the rates of one trial, from about this many seconds of training and evaluation."""
    head, training, sentences = trial.settings.head, trial.settings.training, load_embedded_corpus(trial)
    assert isinstance(head, QuantumHead)
    split = sentences.split(trial)
    embedded = torch.from_numpy(sentences.embeddings[split.train]).double()
    states = AmplitudeEncoding(head, [embedded]).states(embedded[None])[0]
    labels = torch.from_numpy(sentences.labels[split.train])
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # PennyLane rounds to the default what it differentiates by the adjoint method
    try:
        module = OrdinaryHead(head)
        optimizer = torch.optim.Adam(module.parameters(), lr=training.lr, weight_decay=training.weight_decay)
        blocks = torch.split(torch.randperm(len(labels)), training.batch)

        def step(rows: torch.Tensor) -> None:
            loss = nn.functional.cross_entropy(module(states[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        steps, step_s = _for_a_while(blocks, step, TRAINING_SHARE * seconds)
        with torch.no_grad():
            evaluated, block_s = _for_a_while(blocks, lambda rows: module(states[rows]), (1 - TRAINING_SHARE) * seconds)
    finally:
        torch.set_default_dtype(before)
    full = min(training.batch, len(labels))
    return Rates(steps, step_s, evaluated * full, block_s / full)


def _for_a_while(blocks: Sequence[torch.Tensor], work: Any, seconds: float) -> tuple[int, float]:
    """Work on one full block after the other until the time is over; return how many, and the seconds of one."""
    full = [block for block in blocks if len(block) == len(blocks[0])]
    done, begin = 0, time.perf_counter()
    while not done or time.perf_counter() - begin < seconds:
        work(full[done % len(full)])
        done += 1
    return done, (time.perf_counter() - begin) / done
