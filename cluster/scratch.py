"""Directories on a node's own disk, for Ray's sockets and logs: where they are, how long their paths may be, and that nobody else enters.

Ray opens what it makes to everybody, so its directory is always one below ours, which is closed.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hadamard.model.errors import UserError

RAY = "ray"
"""Name of Ray's directory in ours."""
LONGEST_SOCKET = 107
SOCKET_BELOW = len(f"/{RAY}/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
LEAST_BYTES = 64 * 2**20
"""Room without which Ray does not start."""


def scratch(environment: Mapping[str, str] = os.environ) -> tuple[str, Path]:
    """Return the scratch directory of this node, after the name of the variable that sets it, or `default`."""
    for name in ("HADAMARD_SCRATCH", "SLURM_TMPDIR"):
        if environment.get(name):
            return f"${name}", Path(environment[name]).absolute()
    return "default", Path("/tmp")


def check_length(directory: Path) -> None:
    """Refuse a directory whose path leaves no room for Ray's sockets.

    Raises:
        UserError: It is too long, and by how much.
    """
    excess = len(str(directory)) + SOCKET_BELOW - LONGEST_SOCKET
    if excess > 0:
        raise UserError(
            f"the path {directory} is too long by {excess} characters: Ray puts sockets below it, whose paths may have {LONGEST_SOCKET}. "
            "Set HADAMARD_SCRATCH to a shorter directory on the node's own disk (docs/slurm.md: site profiles)"
        )


def make_private(directory: Path) -> None:
    """Make a directory that its user alone may enter, whatever the umask; accept one that is there only if it is just that.

    Raises:
        UserError: It cannot be made, or it is somebody else's, open to others, or no directory.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
        directory.chmod(0o700)
    except FileExistsError:
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise UserError(
                f"{directory} is there already, and not a directory of this user's own with mode 0700: who made it could read and change "
                "what is kept in it. Remove it, or set HADAMARD_SCRATCH to another directory on the node's own disk"
            ) from None
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}. {_OTHER_PLACE}") from None


def new_private(environment: Mapping[str, str] = os.environ) -> Path:
    """Make a new directory in the scratch directory that its user alone may enter, by a name that nobody can foresee.

    Raises:
        UserError: It cannot be made there, its path is too long for sockets, or there is no room.
    """
    source, parent = scratch(environment)
    check_length(parent / "hd-12345678")
    try:
        directory = Path(tempfile.mkdtemp(prefix="hd-", dir=parent))
        directory.chmod(0o700)  # whatever the umask
        free = shutil.disk_usage(directory).free
    except OSError as error:
        raise UserError(f"{parent} ({source}), for Ray's sockets and logs: {error.strerror}. {_OTHER_PLACE}") from None
    if free < LEAST_BYTES:
        directory.rmdir()
        raise UserError(f"{parent} ({source}) has {free / 2**20:.0f} MiB free: Ray needs {LEAST_BYTES / 2**20:.0f}. {_OTHER_PLACE}")
    return directory


_OTHER_PLACE = "Make room or mend the permissions there, or set HADAMARD_SCRATCH to another directory on the node's own disk"
