"""Linux's count of out-of-memory kills in a control group, in both versions of control groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hadamard.cluster.control_groups import MOUNT, PROCESS, control_groups


def oom_kills(process: Path = PROCESS, mount: Path = MOUNT) -> int | None:
    """Return how many processes of this process's control group were killed for want of memory so far; None where they are not counted.

    Args:
        process: The kernel's list of its groups.
        mount: Where control groups are mounted.
    """
    for file in _counters(process, mount):
        try:
            words = file.read_text().split()
        except OSError:
            continue
        if "oom_kill" in words:  # kernels before 4.13 do not count in version 1
            return int(words[words.index("oom_kill") + 1])
    return None


def _counters(process: Path, mount: Path) -> Iterator[Path]:
    """Yield where the counter may be: in a container, the group that the kernel names may be what is mounted, under its own name."""
    for version, groups in control_groups("memory", process, mount):
        name = "memory.events" if version == 2 else "memory.oom_control"
        yield from (groups[0] / name, groups[-1] / name)
