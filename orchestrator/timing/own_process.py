"""Runs a measurement in a process of its own, with a limited number of cores, memory and time."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from typing import Any

from hadamard.cluster.allocation import detect
from hadamard.model.simulators.hardware import gpu_in_sight

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def in_own_process(module: str, arguments: dict[str, Any], threads: int, limit_s: float, besides_s: float) -> dict[str, Any] | str:
    """Run a module on arguments in JSON; return the JSON that it prints last, or why there is none.

    Args:
        module: Holds itself to its limit by an alarm: SIGALRM ends it.
        arguments: The module's first argument.
        threads: For every library that reads the environment.
        limit_s: As told to the user.
        besides_s: What it may take besides, after which it is ended.
    """
    command = [sys.executable, "-W", "ignore", "-m", module, json.dumps(arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=_environment(threads), timeout=besides_s + limit_s)
    except subprocess.TimeoutExpired:
        return f"more than {limit_s:g} s"
    if done.returncode == -signal.SIGALRM:
        return f"more than {limit_s:g} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return f"failed: {lines[-1][:200] if lines else f'exit code {done.returncode}'}"
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def limit_resources(threads: int) -> None:
    """Limit this process to a number of cores and to the memory that is there."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])  # some libraries start threads that no variable limits
    if not gpu_in_sight():  # a case too large for memory shall fail here, and not have the kernel choose who dies
        resource.setrlimit(resource.RLIMIT_DATA, (detect().memory_bytes, resource.RLIM_INFINITY))


def _environment(threads: int) -> dict[str, str]:
    # what can be imported here can be imported there: a factory may be outside the installed package
    paths = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return {**os.environ, **dict.fromkeys(THREADS, str(threads)), **paths, "OMP_PROC_BIND": "false"}
