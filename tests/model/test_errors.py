"""The tree of errors at the top of model/errors.py, and what counts as a lack of memory or of disk."""

from __future__ import annotations

import ast
import errno
import re
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from hadamard.model import errors
from hadamard.model.errors import is_disk_full, is_out_of_memory
from tests.conftest import ROOT

PACKAGES = ("model", "cluster", "slurm", "orchestrator")


def defined() -> dict[str, tuple[str, str]]:
    """Return, for each class of the project, its first base class and its file, by name."""
    classes = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and node.bases:
                    classes[node.name] = (ast.unparse(node.bases[0]).rpartition(".")[2], path.relative_to(ROOT).as_posix())
    return classes


def user_errors() -> Iterator[tuple[str, str, str]]:
    """Yield name, base and file of each user error."""
    classes = defined()
    names = {"UserError"}
    while more := {name for name, (base, _) in classes.items() if base in names} - names:
        names |= more
    yield from ((name, *classes[name]) for name in names if name != "UserError")


def drawn() -> Iterator[tuple[str, str, str]]:
    """Yield name, base and file of each user error as the tree shows them."""
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"( *)(\w+Error) {2,}", line):
            depth, name = len(found[1]) // 4, found[2]
            file = re.search(r"\((\w+/\S+\.py)\)$", line)
            if depth:
                yield name, parents[depth - 1], file[1] if file else "model/errors.py"
            parents[depth:] = [name]


def test_the_tree_at_the_top_shows_every_user_error_under_its_base_with_its_file() -> None:
    assert sorted(drawn()) == sorted(user_errors())
    assert len(list(drawn())) >= 10


@pytest.mark.parametrize(
    ("error", "out_of_memory", "disk_full"),
    [
        (MemoryError(), True, False),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] . DefaultCPUAllocator: can't allocate memory"), True, False),
        (RuntimeError("std::bad_alloc"), True, False),
        (torch.OutOfMemoryError("CUDA out of memory"), True, False),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True, False),
        (OSError(errno.ENOSPC, "No space left on device"), False, True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), False, True),
        (OSError(errno.ENOENT, "No such file"), False, False),
        (RuntimeError("shapes do not match"), False, False),
    ],
    ids=str,
)
def test_errors_that_say_memory_or_disk(error: Exception, out_of_memory: bool, disk_full: bool) -> None:
    assert is_out_of_memory(error) is out_of_memory
    assert is_disk_full(error) is disk_full


@pytest.mark.parametrize("allocate", [lambda: torch.empty(2**60, dtype=torch.uint8), lambda: np.empty(2**60, dtype=np.uint8)])
def test_what_libraries_raise_for_too_large_arrays_is_a_lack_of_memory(allocate: type) -> None:
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        allocate()
    assert is_out_of_memory(caught.value)
