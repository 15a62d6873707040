"""The processes of this user on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any


def own_processes() -> Iterator[tuple[Any, list[str]]]:
    """Yield psutil's view of each process of this user, with its `name` in `info`, and the words of its command line."""
    import psutil

    for process in psutil.process_iter(["uids", "name", "cmdline"]):
        if process.info["uids"] is not None and process.info["uids"].real == os.getuid():
            yield process, process.info["cmdline"] or []
