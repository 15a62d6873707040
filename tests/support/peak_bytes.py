"""The most memory that torch's operations hold at a time, counted and not measured."""

from __future__ import annotations

from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakBytes(TorchDispatchMode):
    """Adds up after every operation the storages that operations inside have made and that are still alive."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[StorageWeakRef, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {StorageWeakRef(part.untyped_storage()) for part in tree_leaves((args, kwargs)) if isinstance(part, torch.Tensor)}
        out = func(*args, **(kwargs or {}))
        made = {
            StorageWeakRef(part.untyped_storage()): part.untyped_storage().nbytes()
            for part in tree_leaves(out)
            if isinstance(part, torch.Tensor)
        }
        self.alive |= {storage: size for storage, size in made.items() if storage not in given}
        self.alive = {storage: size for storage, size in self.alive.items() if not storage.expired()}
        self.peak = max(self.peak, sum(self.alive.values()))
        return out
