"""The control groups of this process, in both versions of Linux's control groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

PROCESS = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")


def control_groups(controller: str, process: Path = PROCESS, mount: Path = MOUNT) -> Iterator[tuple[Literal[1, 2], list[Path]]]:
    """Yield the version, and the directories from the process's group up to where groups are mounted; whether they exist is not asked.

    Args:
        controller: Of version 1, such as `memory`; version 2 has one tree for all.
        process: The kernel's list of the process's groups.
        mount: Where control groups are mounted.
    """
    try:
        lines = [line.split(":", 2) for line in process.read_text().splitlines()]
    except OSError:
        return
    for _number, controllers, group in lines:
        if not controllers:
            yield 2, _upwards(mount, group)
        elif controller in controllers.split(","):
            yield 1, _upwards(mount / controller, group)


def _upwards(top: Path, group: str) -> list[Path]:
    inner = top / group.lstrip("/")
    return [directory for directory in (inner, *inner.parents) if directory.is_relative_to(top)]
