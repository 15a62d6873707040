"""Ray on this machine for one run: on the loopback interface alone, by a token and in a directory of its own, which end with the run."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hadamard.cluster.allocation import Allocation
from hadamard.cluster.reaper import reaped
from hadamard.cluster.scratch import RAY, new_private
from hadamard.model.errors import UserError
from hadamard.slurm.ray_start import OBJECT_STORE_BYTES, WITHOUT_EXPORTERS

logger = logging.getLogger(__name__)
LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""How Ray is told, on any system, that there is one machine: every process of it then listens on the loopback interface."""
TOKEN_BYTES = 24


@dataclass(frozen=True)
class Dashboard:
    """Where a dashboard is, and the file with the token that it asks for."""

    url: str
    token: Path


@contextmanager
def started(allocation: Allocation, dashboard: bool) -> Iterator[Dashboard | None]:
    """Start Ray with what the allocation gives; yield its dashboard, if it has one. It ends, and its files, with this block.

    Raises:
        UserError: Its directory cannot be made, authentication is switched off in the environment, or Ray does not start.
    """
    if (mode := os.environ.get("RAY_AUTH_MODE", "token")) != "token":
        raise UserError(f"RAY_AUTH_MODE={mode} would let anybody on this machine run programs as this user: unset it")
    if "ray" in sys.modules:
        raise RuntimeError("ray is imported already, and has read an environment in which it asks for no token and listens everywhere")
    directory = new_private()
    with reaped(directory):
        token = directory / "token"
        token.touch(mode=0o600)
        token.chmod(0o600)  # whatever the umask
        token.write_text(secrets.token_hex(TOKEN_BYTES))
        for name in ("RAY_AUTH_TOKEN", "RAY_ADDRESS"):  # of another Ray
            if os.environ.pop(name, None) is not None:
                logger.warning("%s in the environment is not used: this run has a Ray of its own", name)
        os.environ |= {**LOOPBACK_ONLY, **WITHOUT_EXPORTERS, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        import ray  # reads the environment

        try:
            context = _start(allocation, dashboard, directory)
            yield Dashboard(f"http://{context.dashboard_url}", token) if context.dashboard_url else None
        finally:
            ray.shutdown()


def _start(allocation: Allocation, dashboard: bool, directory: Path) -> Any:
    import ray

    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # Ray's processes inherit that: a lost terminal ends this run by its driver
    try:
        return ray.init(
            address="local",
            num_cpus=allocation.cpus,
            num_gpus=allocation.gpus,
            _memory=allocation.memory_bytes,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=dashboard,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(directory / RAY),
        )
    except Exception as error:  # Ray has many for one thing
        logger.exception("Ray did not start")
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"Ray did not start on this machine, with its files in {directory}: {said}. Look for room there and for memory, or set "
            "HADAMARD_SCRATCH to another directory on this machine's own disk; more is in the study's logs/driver.log"
        ) from error
    finally:
        signal.signal(signal.SIGHUP, hangup)
