"""Inference of one batch in a process of its own: the paper's head, its second module alone, or a classical head."""

from __future__ import annotations

import gc
import json
import signal
import sys
import time
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from hadamard.cluster.energy.base import SHORTEST_WINDOW_S
from hadamard.model.lazy import load, torch
from hadamard.model.settings import Settings
from hadamard.model.simulators.registry import open_simulator
from hadamard.orchestrator.commands.crossover.windows import Pass, Window, counting_meter, window
from hadamard.orchestrator.timing.own_process import in_own_process, limit_resources
from hadamard.orchestrator.timing.paper_head import ANGLE_SCALE, FEWEST_QUBITS, Case, paper_head

BESIDES_S = 60.0
"""What a process may take besides the limit of its passes and its windows: imports, and drawing its case."""
UNMETERED_WINDOW_S = 1.0
DIMENSION, SENTENCES = 768, 435
"""Of an embedding, and those that the classical head is fitted on (paper.md, "Data and protocol")."""
SIMULATOR, CLASSICAL = f"{__name__}:by_simulator", f"{__name__}:by_logistic_regression"
"""Factories."""


@dataclass(frozen=True)
class Passes:
    """Inference of one batch, ready to be timed.

    Attributes:
        head: Embeddings are loaded as amplitudes, the encoder's <Z_q> become the angles of the second module, and its <Z_0> is returned.
        second_module: That module alone, what a QPU would run, on angles computed before; None: the head has none.
    """

    head: Pass
    second_module: Pass | None = None


class InferenceRequest(Settings):
    """What to measure."""

    factory: str
    """`module:function`, called with a case and `arguments`; returns its passes."""
    arguments: tuple[str, ...] = ()
    qubits: int = FEWEST_QUBITS
    rows: int
    """Sentences of a batch."""
    threads: int
    limit_s: float
    """What the first pass over the batch may take."""


class Inference(Settings):
    """What was measured."""

    values: tuple[Annotated[float, Field(allow_inf_nan=True)], ...]
    """Of the batch, to be compared with those of other simulators; for the classical head, classes."""
    head: Window
    second_module: Window | None
    on_gpu: bool


def measure(request: InferenceRequest) -> Inference | str:
    """Measure in a process of its own; return why there is no measurement where there is none."""
    windows_s = 2 * max(2 * SHORTEST_WINDOW_S, request.limit_s)
    result = in_own_process(__name__, request.model_dump(), request.threads, request.limit_s, BESIDES_S + windows_s)
    return result if isinstance(result, str) else Inference.model_validate_json(json.dumps(result))


def by_simulator(case: Case, name: str) -> Passes:
    """Return the passes of a simulator of the registry in float32; a kernel that is compiled when first run has been.

    Raises:
        SettingsError: It cannot be opened here.
    """
    simulator = open_simulator(name)
    states, encoder, second = (
        torch.tensor(part, dtype=torch.float32, device=simulator.device)[None]
        for part in (case.states, case.encoder_weights, case.second_weights)
    )

    def encode() -> torch.Tensor:
        with torch.no_grad():
            return ANGLE_SCALE * simulator.expectations(case.encoder, encoder, states=states)

    def classify(inputs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return simulator.expectations(case.second, second, inputs).cpu().flatten()

    inputs = encode()
    if simulator.device.type != "cpu":
        classify(inputs)
    return Passes(lambda: classify(encode()), lambda: classify(inputs))


def by_logistic_regression(case: Case) -> Passes:
    """Return the prediction of as many sentences' classes as the case has rows, as model/heads/logistic.py fits it.

    Only the product and the sign: checking its input takes scikit-learn ten times as long.
    """
    from hadamard.model.heads.logistic import LogisticHead

    rows = len(case.states)
    generator = np.random.default_rng(rows)
    embeddings = generator.standard_normal((SENTENCES, DIMENSION), dtype=np.float32)
    fitted: Any = LogisticHead(kind="logistic").fit(embeddings, (embeddings[:, 0] > 0).astype(np.int64), seed=0)
    weights, bias = (np.asarray(part, dtype=np.float32) for part in (fitted.classifier.coef_[0], fitted.classifier.intercept_[0]))
    batch = embeddings[:rows]
    return Passes(lambda: batch @ weights + bias > 0)


def _measure(request: InferenceRequest) -> Inference:
    """Measure in this process; it ends by SIGALRM where the first pass takes longer than the limit."""
    limit_resources(request.threads)
    signal.setitimer(signal.ITIMER_REAL, request.limit_s + BESIDES_S)
    passes: Passes = load(request.factory)(paper_head(request.qubits, request.rows), *request.arguments)
    gc.collect()
    gc.freeze()  # or the garbage of a pass of Python objects has all of torch and PennyLane looked through again
    signal.setitimer(signal.ITIMER_REAL, request.limit_s)
    began = time.perf_counter()
    values = np.asarray(passes.head(), dtype=np.float64)
    slow = time.perf_counter() - began > request.limit_s / 4
    signal.setitimer(signal.ITIMER_REAL, 0)
    meter, on_gpu = counting_meter(), "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized()
    shortest_s = UNMETERED_WINDOW_S if meter is None else SHORTEST_WINDOW_S
    most_s = shortest_s if slow else 2 * shortest_s

    def timed(one_pass: Pass) -> Window:
        return window(one_pass, request.rows, meter, on_gpu, shortest_s, most_s)

    head = timed(passes.head)
    second_module = None if passes.second_module is None else timed(passes.second_module)
    return Inference(values=tuple(values.tolist()), head=head, second_module=second_module, on_gpu=on_gpu)


if __name__ == "__main__":
    print(json.dumps(_measure(InferenceRequest.model_validate_json(sys.argv[1])).model_dump()))
