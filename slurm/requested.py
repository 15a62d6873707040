"""The resources that a job requests: the #SBATCH lines of a script, overridden by options of sbatch, parsed into numbers.

What Slurm allocates in the end is in allocated.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hadamard.cluster.allocation import MEMORY_UNITS, Allocation
from hadamard.model.errors import UserError

TIME = re.compile(r"(?:(?P<days>\d+)-(?P<hours>\d+)(?::(?P<minutes>\d+))?(?::(?P<seconds>\d+))?|(?P<clock>\d+(?::\d+){0,2}))")
SIGNAL_BEFORE_S = 60
"""Seconds before the time limit at which Slurm sends a signal that is requested without a time."""


@dataclass(frozen=True)
class RequestedResources:
    """The resources that a job requests.

    Attributes:
        nodes: Number of nodes.
        cpus: Cores of each node.
        memory_bytes: Main memory of each node; None where Slurm or the site decides, as with --mem=0, which requests all of it.
        gpus: GPUs of each node.
        walltime_s: Time limit; None without one, or for the partition's default.
        early_s: Seconds before the time limit at which the script receives its early signal.
    """

    nodes: int
    cpus: int
    memory_bytes: int | None
    gpus: int
    walltime_s: int | None
    early_s: int

    def allocation(self, memory_bytes: int) -> Allocation:
        """Return the job's expected allocation, with `memory_bytes` for each node where the job requests no amount of memory."""
        source = "a node of the job (--mem)" if self.memory_bytes else "this machine"
        return Allocation(self.cpus, self.memory_bytes or memory_bytes, self.gpus, source, self.nodes)


def directives(script: str) -> dict[str, str]:
    """Return the options of a batch script's #SBATCH lines by their long names; flags have an empty value.

    As in Slurm, lines after the first command do not count.
    """
    options = {}
    for line in script.splitlines():
        if line.startswith("#SBATCH"):
            name, _, value = line.removeprefix("#SBATCH").partition("#")[0].strip().removeprefix("--").partition("=")
            options[name] = value
        elif line.strip() and not line.startswith("#"):
            break
    return options


def requested(options: Mapping[str, str]) -> RequestedResources:
    """Return the resources that options of sbatch request.

    Args:
        options: Values by long option name without dashes, as `directives` returns them.

    Raises:
        UserError: A value is not in Slurm's notation.
    """
    cpus, gpus = _count(options, "cpus-per-task", 1), gpu_count(options)
    return RequestedResources(
        nodes=_count(options, "nodes", 1),
        cpus=cpus,
        memory_bytes=_memory_bytes(options, cpus, gpus),
        gpus=gpus,
        walltime_s=time_s(options["time"]) if "time" in options else None,
        early_s=_early_s(options.get("signal")),
    )


def time_s(text: str) -> int | None:
    """Parse a time limit in Slurm's notation into seconds; None for no limit.

    Raises:
        UserError: It is not in Slurm's notation.
    """
    if text.upper() in ("UNLIMITED", "INFINITE", "0"):
        return None
    match = TIME.fullmatch(text)
    if not match:
        raise UserError(f"--time {text}: not a time. Write minutes (90), hours:minutes:seconds (1:30:00) or days-hours (1-12)")
    if match["clock"]:
        parts = [int(part) for part in match["clock"].split(":")]
        hours, minutes, seconds = parts if len(parts) == 3 else (0, *parts, 0)[:3]  # one number is minutes, two are minutes and seconds
        return 3600 * hours + 60 * minutes + seconds
    return 86400 * int(match["days"]) + 3600 * int(match["hours"]) + 60 * int(match["minutes"] or 0) + int(match["seconds"] or 0)


def size_bytes(text: str, option: str) -> int:
    """Parse a size in Slurm's notation into bytes; without K, M, G or T at its end it is in MiB.

    Args:
        text: The size.
        option: Long name of the option, for the message.

    Raises:
        UserError: It is not in Slurm's notation.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT])?B?", text.upper())
    if not match:
        raise UserError(f"--{option} {text}: not a size. Write 8G, or 8000M")
    return int(float(match[1]) * MEMORY_UNITS[match[2] or "M"])


def gpu_count(options: Mapping[str, str]) -> int:
    """Return the GPUs per node that --gpus-per-node ([TYPE:]N) or --gres (gpu[:TYPE][:N]) requests.

    Raises:
        UserError: --gpus-per-node holds no number.
    """
    if "gpus-per-node" in options:
        number = options["gpus-per-node"].rpartition(":")[2]
        if not number.isdigit():
            raise UserError(f"--gpus-per-node {options['gpus-per-node']}: give a number, such as 4, or a type with one, such as a100:4")
        return int(number)
    resources = [resource.split(":") for resource in options.get("gres", "").split(",")]
    return sum(int(words[-1]) if words[-1].isdigit() else 1 for words in resources if words[0] == "gpu")


def _memory_bytes(options: Mapping[str, str], cpus: int, gpus: int) -> int | None:
    for name, times in (("mem-per-cpu", cpus), ("mem-per-gpu", gpus), ("mem", 1)):  # the script's own is --mem
        if name in options:
            return size_bytes(options[name], name) * times or None
    return None


def _early_s(signal: str | None) -> int:
    if not signal:
        return 0
    before = signal.partition("@")[2]
    return int(before) if before.isdigit() else SIGNAL_BEFORE_S


def _count(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not text.isdigit() or int(text) == 0:
        raise UserError(f"--{name} {text}: give a number of at least 1")
    return int(text)
