"""Checks of Lightning devices whose states several MPI ranks share, and the arguments that they are opened with.

All is checked before PennyLane would fail with another message, or one rank would wait for another.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hadamard.model.errors import SettingsError
from hadamard.model.simulators.registry import kind_of

MPI_CLASS = "MPIManager"
"""How the name of a class begins that a device's compiled part has only if it was built with MPI."""
BUFFER = "HADAMARD_LIGHTNING_BUFFER_MIB"
"""Variable that sets the size of a GPU device's buffer of messages; without it the shard's size, 64 MiB at most."""
AMPLITUDE_BYTES = 16
MIB = 2**20


@dataclass(frozen=True)
class Together:
    """How many ranks share every state, and how many of them there are on the node that has most."""

    ranks: int
    on_a_node: int


@dataclass(frozen=True)
class Here:
    """What a rank finds: whether the device was built with MPI, and the GPUs of its node that it may use."""

    with_mpi: bool
    gpus: int


def built_with_mpi(device_name: str) -> bool:
    """Return whether a device's compiled part knows MPI.

    Raises:
        SettingsError: The device is not installed, or its compiled part cannot be loaded.
    """
    try:
        compiled_part = importlib.import_module(compiled_module(device_name))
    except ImportError as error:
        raise SettingsError(
            f"simulator {device_name} cannot be opened here: {error}. Install it (docs/lightning-mpi.md); `simulator: auto` needs "
            "nothing more"
        ) from error
    return any(name.startswith(MPI_CLASS) for name in vars(compiled_part))


def compiled_module(device_name: str) -> str:
    """Return the module that holds a device's compiled part."""
    return f"pennylane_lightning.{device_name.replace('.', '_')}_ops"


def look(device_name: str) -> Here:
    """Return what this process finds.

    Raises:
        SettingsError: As `built_with_mpi`.
    """
    import torch

    return Here(built_with_mpi(device_name), torch.cuda.device_count())


def check(device_name: str, together: Together, here: Here) -> None:
    """Refuse what no circuit could be simulated with.

    Raises:
        SettingsError: The device was built without MPI, or has not a power of two of ranks, or not a GPU for each.
    """
    if not here.with_mpi:
        raise SettingsError(
            f"simulator {device_name} was built without MPI, as all wheels on PyPI are, and mpi.ranks is {together.ranks}. Build it from "
            f"source (docs/lightning-mpi.md, {build_page(device_name)}), or use `simulator: auto`, which needs no more than mpi4py"
        )
    if together.ranks.bit_count() != 1:
        raise SettingsError(f"simulator {device_name} shares states among a power of two of ranks (2, 4, ...), not {together.ranks}")
    if _is_on_gpu(device_name) and together.on_a_node > here.gpus:
        raise SettingsError(
            f"simulator {device_name} takes a GPU for each rank, and there are {together.on_a_node} ranks on a node and {here.gpus} GPUs "
            "that each of them sees; ask for more GPUs per node, spread the ranks over more nodes, or use fewer mpi.ranks"
        )


def check_before_launch(device_name: str, ranks: int) -> None:
    """Check what can be checked before ranks are started: on which nodes they will be is not known yet.

    Raises:
        SettingsError: As `check`.
    """
    check(device_name, Together(ranks, 0), look(device_name))


def _is_on_gpu(device_name: str) -> bool:
    return kind_of(device_name).gpu == "needed"


def mpi_arguments(device_name: str, qubits: int, together: Together, buffer_mib: int = 0) -> dict[str, Any]:
    """Return the keyword arguments that open a device for circuits of this many qubits.

    Args:
        device_name: As PennyLane has it, which is the simulator's name.
        qubits: The wires, which have to be given: such a device finds none by itself.
        together: The ranks.
        buffer_mib: Size of a GPU device's buffer of messages; 0 leaves it to the device.

    Raises:
        SettingsError: There are more ranks than half the amplitudes, or the buffer is not a power of two or larger than a shard.
    """
    if together.ranks > (most := 2 ** (qubits - 1)):
        raise SettingsError(
            f"{together.ranks} ranks cannot share states of {qubits} qubits on {device_name}, at most {most} can: each takes two "
            "amplitudes or more; use fewer mpi.ranks"
        )
    arguments: dict[str, Any] = {"wires": qubits, "mpi": True}
    if buffer_mib and _is_on_gpu(device_name):
        shard_mib = AMPLITUDE_BYTES * 2**qubits // together.ranks / MIB
        if buffer_mib.bit_count() != 1 or buffer_mib > shard_mib:
            raise SettingsError(
                f"{BUFFER}={buffer_mib} should be a power of two, and with {qubits} qubits on {together.ranks} ranks no more than a shard, "
                f"{shard_mib:g} MiB; without {BUFFER} {device_name} takes what fits"
            )
        arguments["mpi_buf_size"] = buffer_mib
    return arguments


def asked_buffer_mib(environment: Mapping[str, str] = os.environ) -> int:
    """Return the size of buffer that is asked for, 0 if none is.

    Raises:
        SettingsError: It is not a number of MiB.
    """
    asked = environment.get(BUFFER, "0")
    if not asked.isdecimal():
        raise SettingsError(f"{BUFFER} should be a number of MiB such as 64, not {asked!r}")
    return int(asked)


def build_page(device_name: str) -> str:
    """Return where PennyLane says how a device is built with MPI."""
    return f"https://docs.pennylane.ai/projects/lightning/en/stable/{device_name.replace('.', '_')}/installation.html"
