"""Checkpoints of a trial in training: parameters and Adam's moments in safetensors, the epoch in its metadata.

`training/checkpoint_timer.py` says when one is written.
"""

from __future__ import annotations

import json

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from hadamard.model.errors import LedgerError
from hadamard.model.files.atomic import write_atomically
from hadamard.model.files.trial_files import TrialFiles

NAMES = ("parameters", "mean", "square")
"""What the rows of an optimiser's state are (`hadamard.model.training.adam.Adam`)."""


def save(files: TrialFiles, state: torch.Tensor, epoch: int) -> None:
    """Write a trial's state [3, parameters] and its number of finished epochs as one file, atomically."""
    tensors = dict(zip(NAMES, state.detach().cpu().unbind(), strict=True))
    write_atomically(files.checkpoint, safetensors.torch.save(tensors, metadata={"epoch": json.dumps(epoch)}))


def load(files: TrialFiles, state: torch.Tensor) -> int:
    """Fill a trial's state [3, parameters] from its checkpoint if there is one; return the number of finished epochs.

    Raises:
        LedgerError: The checkpoint cannot be read, or is of another head or precision.
    """
    if not files.checkpoint.exists():
        return 0
    try:
        with safe_open(files.checkpoint, framework="pt") as file:
            saved = torch.stack([file.get_tensor(name) for name in NAMES])
            epoch = int(json.loads(file.metadata()["epoch"]))
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise LedgerError(f"{files.checkpoint}: is not a checkpoint ({error}). Delete it to train the trial from its start") from error
    if saved.shape != state.shape or saved.dtype != state.dtype:
        raise LedgerError(
            f"{files.checkpoint}: holds {saved.shape[1]} parameters in {saved.dtype}, where {state.shape[1]} in {state.dtype} are trained. "
            "Delete it to train the trial from its start"
        )
    state.copy_(saved)
    return epoch
