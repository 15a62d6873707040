"""A trial in training, as a member of its team: how far it is, and what is recorded of it.

Owns the events `started`, `done` and `failed`, their causes, and the result. Does not own the training.
"""

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
from hadamard.model.files.trial_files import TrialFiles
from hadamard.model.heads.base import Score
from hadamard.model.trial import Trial

SIDES = ("train", "validation", "test")


@dataclass
class TrialRun:
    """One trial of a team.

    Attributes:
        files: Where it is recorded.
        trial: What is trained.
        epoch: Epochs finished.
        seconds: Its equal share of the wall time that this process spent on it and those trained with it.
        is_open: Whether it has neither a result nor failed.
    """

    files: TrialFiles
    trial: Trial
    epoch: int = 0
    seconds: float = 0.0
    is_open: bool = True

    def start(self, pack: str) -> None:
        """Record that a process has begun with it."""
        self.files.append("started", pack=pack, host=socket.gethostname())

    def fail(self, error: Exception) -> None:
        """Record why it cannot go on."""
        self.is_open = False
        record_failure(self.files, error)

    def finish(self, sides: Sequence[Score], parameters: int, simulator: str | None) -> None:
        """Write its result.

        Args:
            sides: Scores of the training, validation and, but for a fold, test side; a loss that is not finite makes it a failure.
            parameters: How many were trained.
            simulator: The one that ran; None for a classical head.
        """
        if not all(score.is_finite for score in sides):
            self.fail(DivergedError("the trained head's loss is not finite; a lower training.lr may help"))
            return
        responses = {
            f"{side}_{what}": getattr(score, what) for side, score in zip(SIDES, sides, strict=False) for what in ("accuracy", "loss")
        }
        result = {"key": self.trial.key, "responses": responses, "parameters": parameters, "simulator": simulator}
        if self.trial.fold is None:
            result["test_right"] = correct_bits.to_text(sides[-1].right)
        write_atomically(self.files.result, json.dumps(result, indent=1))
        self.files.append("done", seconds=self.seconds)
        self.files.checkpoint.unlink(missing_ok=True)
        self.is_open = False


def split_wall_time(members: Sequence[TrialRun], begin: float) -> float:
    """Share the wall time since `begin` (a `time.perf_counter`) equally among members; return each one's share in seconds."""
    share = (time.perf_counter() - begin) / len(members)
    for member in members:
        member.seconds += share
    return share


def record_failure(files: TrialFiles, error: Exception) -> None:
    """Record a failure with its cause, in the ledger's words."""
    trace = "".join(traceback.format_exception(error))[-4000:]
    cause, message = _cause(error), str(error)[:2000] or type(error).__name__
    if cause == "out of memory":
        message = f"the memory of this machine or allocation is too small; fewer qubits or a smaller training.batch need less ({message})"
    files.append("failed", cause=cause, message=message, traceback=trace)


def _cause(error: Exception) -> str:
    if isinstance(error, DivergedError):
        return "diverged"
    if is_out_of_memory(error):
        return "out of memory"
    return "bad input" if isinstance(error, UserError) else "error"
