"""Checkpoints of a trial in training: parameters and Adam's moments in safetensors, the epoch in its metadata.

Owns the mapping between module, optimiser and file. Does not own when one is written.
"""

from __future__ import annotations

import json

import safetensors.torch
import torch
from safetensors import safe_open

from model.journal import TrialFiles, write_atomically


def save(files: TrialFiles, head: torch.nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> None:
    """Write parameters, moments and the number of finished epochs as one file, atomically."""
    tensors = {f"head/{name}": tensor.contiguous() for name, tensor in head.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam/{index}/{name}": tensor.contiguous() for name, tensor in state.items()}
    write_atomically(files.checkpoint, safetensors.torch.save(tensors, metadata={"epoch": json.dumps(epoch)}))


def load(files: TrialFiles, head: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore head and optimiser from the checkpoint if there is one; return the number of finished epochs."""
    if not files.checkpoint.exists():
        return 0
    with safe_open(files.checkpoint, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        epoch = int(json.loads(file.metadata()["epoch"]))
    head.load_state_dict({name.removeprefix("head/"): tensor for name, tensor in tensors.items() if name.startswith("head/")})
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("adam/"):
            _, index, moment = name.split("/")
            moments.setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return epoch
