"""Measures what one core takes, in a process of its own: `python -m hadamard.orchestrator.planning.calibration SECONDS`, which prints JSON.

Owns real training steps by real heads, real fits, and real embeddings, and the rates that fit them. Does not own what else a run takes,
nor where rates are kept. Seconds are those of the core, not of the clock: others may be at work.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls

from hadamard.model.data.grammar import write
from hadamard.model.heads.base import ClosedFormHead, HeadBatch
from hadamard.model.heads.logistic import LogisticHead
from hadamard.model.heads.mlp import MlpHead, MultiLayerPerceptron
from hadamard.model.heads.quantum.classifier import QuantumClassifier
from hadamard.model.heads.quantum.settings import QuantumHead
from hadamard.model.heads.svc import SvcHead
from hadamard.model.representation.embeddings import encode
from hadamard.model.representation.sentence_encoders import PACKAGED_NAME, load_encoder, locate
from hadamard.model.settings import Training
from hadamard.model.simulators.hardware import is_installed
from hadamard.model.simulators.registry import SIMULATORS, open_simulator
from hadamard.model.training.adam import Adam
from hadamard.model.training.batch_trainer import train_epoch
from hadamard.model.training.evaluation import EmbeddingInputs
from hadamard.orchestrator.planning.machine_rates import default_rates

DIMENSION, TRAIN, STEPS = 384, 435, 4
"""Of all-MiniLM-L6-v2; sentences that the paper's training side has; steps timed at once."""
TOGETHER = (1, 8)
"""Trials of a pack."""
QUBITS = (4, 8, 10)
SENTENCES = 512
LEAST = 1e-12
"""In place of a rate that the fit puts at nothing: it must stay a number to multiply by."""


@dataclass(frozen=True)
class Sample:
    """One training step, measured: seconds, and how much there was of each of the things that take them."""

    seconds: float
    counts: dict[str, float]


def measured(budget_s: float) -> dict[str, Any]:
    """Return the rates of one core under their names in `Rates`, from about so many seconds of work.

    Args:
        budget_s: For the steps; the rest takes about ten seconds.
    """
    torch.set_num_threads(1)
    simulators = [name for name in default_rates() if is_installed(SIMULATORS[name])]
    configurations = [*_dense(), *(one for name in simulators for one in _quantum(name))]
    each_s = budget_s / len(configurations)
    fitted = fit([Sample(_step_s(make, batch, trials, each_s), counts) for make, batch, trials, counts in configurations])
    rates: dict[str, Any] = {name: fitted[name] for name in ("step_s", "row_s", "parameter_s")}
    measured = {name: {part: fitted[f"{name} {part}"] for part in ("gate_s", "amplitude_s")} for name in simulators}
    as_they_come = {name: asdict(rate) for name, rate in default_rates().items()}  # of what is not built here, yet
    rates["simulators"] = {**as_they_come, **measured}
    return {**rates, "components_s": _components_s(), **_fits(), "characters_per_core_s": _characters_per_s()}


def fit(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the seconds of one of each thing, none below zero, that explain the samples with the least relative error."""
    names = list(dict.fromkeys(name for sample in samples for name in sample.counts))
    table = np.array([[sample.counts.get(name, 0.0) / sample.seconds for name in names] for sample in samples])
    size = np.linalg.norm(table, axis=0)  # a gate and an amplitude differ by a factor of ten thousand
    solution, _ = nnls(table / size, np.ones(len(samples)))
    return {name: max(float(value), LEAST) for name, value in zip(names, solution / size, strict=True)}


_Make = Callable[[Sequence[torch.Tensor]], HeadBatch]
_Configuration = tuple[_Make, int, int, dict[str, float]]
"""What makes the heads, rows of a batch, trials, and the counts of a step."""


def _dense() -> Iterator[_Configuration]:
    for hidden, batch, trials in itertools.product((0, 48), (16, 64), TOGETHER):
        settings = MlpHead(kind="mlp", hidden=hidden)
        numbers = hidden * (DIMENSION + 3) + 2 if hidden else 2 * (DIMENSION + 1)
        make: _Make = lambda train, settings=settings: MultiLayerPerceptron(settings, train)  # type: ignore[misc]  # noqa: E731
        yield make, batch, trials, _counts(trials, batch, numbers)


def _quantum(name: str) -> Iterator[_Configuration]:
    simulator, batch = open_simulator(name), 16
    for qubits, trials in itertools.product(QUBITS, TOGETHER):
        head = QuantumHead(qubits=qubits, reduction="truncate")
        make: _Make = lambda train, head=head, trials=trials: QuantumClassifier([head] * trials, train, simulator)  # type: ignore[misc]  # noqa: E731
        counts = _counts(trials, batch, head.parameters(DIMENSION))
        for use in head.circuits():
            gates = len(use.circuit.gates)
            amplitudes = gates * use.training_rows * trials * batch * (1 << use.circuit.qubits)
            counts[f"{name} gate_s"] = counts.get(f"{name} gate_s", 0.0) + gates
            counts[f"{name} amplitude_s"] = counts.get(f"{name} amplitude_s", 0.0) + amplitudes
        yield make, batch, trials, counts


def _counts(trials: int, batch: int, numbers: int) -> dict[str, float]:
    return {"step_s": 1.0, "row_s": float(trials * batch), "parameter_s": float(trials * numbers)}


def _step_s(make: _Make, batch: int, trials: int, each_s: float) -> float:
    """Return the seconds of one step, the median of as many groups of steps as there is time for, at least three."""
    generator = torch.Generator().manual_seed(1)
    embeddings = torch.nn.functional.normalize(torch.randn(TRAIN, DIMENSION, generator=generator), dim=1)
    inputs = EmbeddingInputs(embeddings, torch.arange(TRAIN) % 2, torch.float32)
    head = make([embeddings] * trials)
    start = head.initial_parameters([generator] * trials)
    adam = Adam(torch.stack([start, torch.zeros_like(start), torch.zeros_like(start)]), [Training()] * trials, 0)
    rows = torch.randint(TRAIN, (trials, STEPS * batch), generator=generator)
    draws = [np.random.default_rng(1)] * trials
    return _median_s(lambda: train_epoch(head, adam, inputs, rows, batch, draws), each_s) / STEPS


def _components_s() -> float:
    """Return what principal components of as many embeddings take as are trained on here."""
    embeddings = torch.randn(TRAIN, DIMENSION, generator=torch.Generator().manual_seed(1))
    head = MlpHead(kind="mlp", components=8)
    return _median_s(lambda: MultiLayerPerceptron(head, [embeddings]), 0.5)


def _fits() -> dict[str, float]:
    """Return what a head takes that is fitted in one go, a logistic regression and a support vector machine on average."""
    numbers = np.random.default_rng(1)
    vectors = numbers.standard_normal((TRAIN + SENTENCES, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = (vectors[:, 0] > 0).astype(np.int64)
    heads: tuple[ClosedFormHead, ...] = (LogisticHead(kind="logistic"), SvcHead(kind="svc"))
    fits = [_median_s(lambda head=head: head.fit(vectors[:TRAIN], labels[:TRAIN], 1), 0.2) for head in heads]  # type: ignore[misc]
    fitted = [head.fit(vectors[:TRAIN], labels[:TRAIN], 1) for head in heads]
    scores = [_median_s(lambda one=one: one.score(vectors[TRAIN:], labels[TRAIN:]), 0.2) for one in fitted]  # type: ignore[misc]
    return {"closed_form_s": statistics.mean(fits), "closed_form_row_s": statistics.mean(scores) / SENTENCES}


def _characters_per_s() -> float:
    """Return the characters of sentences that all-MiniLM-L6-v2 embeds in a second."""
    encoder = load_encoder(locate(PACKAGED_NAME).directory)
    texts = tuple(text for text, _ in write(SENTENCES, 0.5, 1))
    return sum(map(len, texts)) / _median_s(lambda: encode(encoder, texts), 1.0)


def _median_s(work: Callable[[], object], seconds: float) -> float:
    """Return the seconds of this process that a piece of work takes, once it has been done before."""
    work()
    took: list[float] = []
    while len(took) < 3 or sum(took) < seconds:
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return statistics.median(took)


if __name__ == "__main__":
    print(json.dumps(measured(float(sys.argv[1]))))
