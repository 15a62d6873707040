"""Linux's count of out-of-memory kills in a control group, in both versions of control groups."""

from __future__ import annotations

from pathlib import Path

PROCESS = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")


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


def _counters(process: Path, mount: Path) -> list[Path]:
    """Return where the counter may be: in a container, the group that the kernel names may be what is mounted, under its own name."""
    try:
        lines = [line.split(":", 2) for line in process.read_text().splitlines()]
    except OSError:
        return []
    files = []
    for _number, controllers, group in lines:
        if "memory" in controllers.split(","):
            base, name = mount / "memory", "memory.oom_control"
        elif not controllers:
            base, name = mount, "memory.events"
        else:
            continue
        files += [base / group.lstrip("/") / name, base / name]
    return files
