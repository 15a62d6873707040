"""The kind of file system of a path, by the kernel's table of mounts, and whether nodes share it."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
PARALLEL = ("lustre", "gpfs", "beegfs", "ceph", "fuse.ceph", "glusterfs", "fuse.glusterfs", "panfs", "wekafs", "orangefs", "pvfs2", "dvs")
NETWORK = frozenset((*PARALLEL, "nfs", "nfs4", "afs", "9p", "cifs", "smb3", "virtiofs"))
"""Kinds that more than one machine can mount."""


def kind(path: Path, mounts: Path = MOUNTS) -> str:
    """Return the kind of file system that an existing path lies on, such as `ext4`; `unknown` where the kernel does not say."""
    inside = path.resolve()
    deepest, name = 0, "unknown"
    for line in mounts.read_text().splitlines():
        fields = line.split()
        mounted, kind_here = Path(_unescaped(fields[4])), fields[fields.index("-") + 1]
        if inside.is_relative_to(mounted) and len(mounted.parts) >= deepest:  # the last of several on one directory is seen
            deepest, name = len(mounted.parts), kind_here
    return name


def is_shared(name: str) -> bool:
    """Return whether a kind of file system is one that nodes share."""
    return name in NETWORK


def _unescaped(field: str) -> str:
    """Undo the kernel's octal escapes of blanks and backslashes in a mount's path."""
    return re.sub(r"\\([0-7]{3})", lambda escape: chr(int(escape[1], 8)), field)
