"""A trial in training: its progress, and what is recorded of it in its journal and result."""

from __future__ import annotations

import json
import socket
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from hadamard.model.errors import DivergedError, UserError, is_out_of_memory
from hadamard.model.files import correct_bits
from hadamard.model.files.atomic import write_atomically
from hadamard.model.files.causes import Cause
from hadamard.model.files.trial_files import TrialFiles
from hadamard.model.heads.base import Score
from hadamard.model.trial import Trial

SETS = ("train", "validation", "test")


@dataclass
class TrialRun:
    """One trial in training.

    Attributes:
        files: Where it is recorded.
        trial: Its settings and seeds.
        epoch: Epochs finished.
        seconds: Its equal share of the wall time of this process for it and the trials trained with it.
        is_open: Whether it has neither a result nor failed.
    """

    files: TrialFiles
    trial: Trial
    epoch: int = 0
    seconds: float = 0.0
    is_open: bool = True

    def start(self, pack: str) -> None:
        """Record that this process has started it."""
        self.files.append("started", pack=pack, host=socket.gethostname())

    def fail(self, error: Exception) -> None:
        """Record why it cannot continue."""
        self.is_open = False
        record_failure(self.files, error)

    def finish(self, scores: Sequence[Score], parameters: int, simulator: str | None) -> None:
        """Write its result, or record its failure if a loss is not finite.

        Args:
            scores: On training, validation and test set; a fold has no test set.
            parameters: How many were trained.
            simulator: The one that ran; None where no circuit was simulated.
        """
        if not all(score.is_finite for score in scores):
            self.fail(DivergedError("the trained head's loss is not finite; a lower training.lr may help"))
            return
        responses: dict[str, float | None] = {}
        for name, score in zip(SETS, scores, strict=False):
            responses |= {f"{name}_accuracy": score.accuracy, f"{name}_loss": score.loss}
        result = {"key": self.trial.key, "responses": responses, "parameters": parameters, "simulator": simulator}
        if self.trial.fold is None:
            result["test_right"] = correct_bits.to_text(scores[-1].correct)
        write_atomically(self.files.result, json.dumps(result, indent=1))
        self.files.append("done", seconds=self.seconds)
        self.files.checkpoint.unlink(missing_ok=True)
        self.is_open = False


def split_wall_time(runs: Sequence[TrialRun], begin: float) -> float:
    """Divide the wall time since `begin` (a `time.perf_counter`) equally among runs; return the share of each in seconds."""
    share = (time.perf_counter() - begin) / len(runs)
    for run in runs:
        run.seconds += share
    return share


def record_failure(files: TrialFiles, error: Exception) -> None:
    """Append a failure, its cause and its traceback to a trial's journal."""
    trace = "".join(traceback.format_exception(error))[-4000:]
    cause, message = _cause(error), str(error)[:2000] or type(error).__name__
    if cause == Cause.OUT_OF_MEMORY:
        message = f"the memory of this machine or allocation is too small; fewer qubits or a smaller training.batch need less ({message})"
    files.append("failed", cause=cause, message=message, traceback=trace)


def _cause(error: Exception) -> Cause:
    if isinstance(error, DivergedError):
        return Cause.DIVERGED
    if is_out_of_memory(error):
        return Cause.OUT_OF_MEMORY
    return Cause.BAD_INPUT if isinstance(error, UserError) else Cause.ERROR
