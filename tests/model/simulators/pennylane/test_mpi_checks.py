"""Lightning devices shared by MPI ranks: what is refused, what they are opened with, and two real ranks that each run the same circuits.

No Lightning with MPI can be installed from PyPI: its own exchange of amplitudes is not tested here, and lightning.qubit stands in.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pennylane as qml
import pytest
import torch

from hadamard.cluster.mpi import RankPlacement
from hadamard.model.circuits.circuit import encoder_circuit
from hadamard.model.errors import SettingsError
from hadamard.model.mpi.ranks import ALONE
from hadamard.model.simulators.pennylane import mpi_checks
from hadamard.model.simulators.pennylane.device import PennyLaneSimulator
from hadamard.model.simulators.pennylane.mpi_checks import Here, Together, asked_buffer_mib, built_with_mpi, check, mpi_arguments
from hadamard.model.simulators.pennylane.mpi_parts import PennyLaneParts
from hadamard.model.simulators.sharded.part import Forward
from hadamard.model.simulators.sharded.rank_protocol import RankSimulator
from tests.support.circuits import random_batch
from tests.support.on_ranks import on_ranks

BUILT = Here(with_mpi=True, gpus=4)


class TestChecks:
    @pytest.mark.parametrize(
        ("name", "together", "here", "said"),
        [
            (
                "lightning.kokkos",
                Together(2, 2),
                Here(False, 0),
                r"built without MPI.*docs/lightning-mpi.md.*lightning_kokkos/installation",
            ),
            ("lightning.gpu", Together(2, 2), Here(False, 4), r"built without MPI.*lightning_gpu/installation.*`simulator: auto`"),
            ("lightning.kokkos", Together(3, 3), BUILT, r"a power of two of ranks \(2, 4, ...\), not 3"),
            ("lightning.gpu", Together(8, 8), BUILT, "8 ranks on a node and 4 GPUs.*more GPUs per node.*or use fewer mpi.ranks"),
        ],
    )
    def test_what_cannot_be_is_refused_in_words(self, name: str, together: Together, here: Here, said: str) -> None:
        with pytest.raises(SettingsError, match=said):
            check(name, together, here)

    def test_what_can_be_is_not(self) -> None:
        check("lightning.gpu", Together(8, 4), BUILT)
        check("lightning.kokkos", Together(8, 8), Here(with_mpi=True, gpus=0))

    def test_ranks_that_were_given_a_gpu_each_see_those_of_their_node_and_may_go(self) -> None:
        mask = "CUDA_VISIBLE_DEVICES"
        own = RankPlacement(("n1", "n1", "n2", "n2"), "7", 4, tuple({mask: gpu} for gpu in ("3", "1", "0", "1")))
        together = own.with_all_gpus()
        assert [masks[mask] for masks in together.gpus] == ["3,1", "3,1", "0,1", "0,1"]
        with pytest.raises(SettingsError, match="2 ranks on a node and 1 GPUs"):
            check("lightning.gpu", Together(4, 2), Here(True, len(own.gpus[0][mask].split(","))))
        for masks in together.gpus:
            check("lightning.gpu", Together(4, 2), Here(True, len(masks[mask].split(","))))
        assert RankPlacement(("n1", "n1"), None, 2).with_all_gpus().gpus == (), "there are none"

    def test_wires_are_given_and_the_buffer_left_to_the_device(self) -> None:
        assert mpi_arguments("lightning.gpu", 20, Together(4, 2)) == {"wires": 20, "mpi": True}
        assert mpi_arguments("lightning.kokkos", 2, Together(2, 2), 64) == {"wires": 2, "mpi": True}, "which has no such argument"

    def test_two_amplitudes_for_each_rank(self) -> None:
        assert mpi_arguments("lightning.gpu", 4, Together(8, 8))["wires"] == 4
        with pytest.raises(SettingsError, match="8 ranks cannot share states of 3 qubits on lightning.gpu, at most 4 can"):
            mpi_arguments("lightning.gpu", 3, Together(8, 8))

    @pytest.mark.parametrize("buffer_mib", [3, 8])
    def test_a_buffer_is_a_power_of_two_within_a_shard(self, buffer_mib: int) -> None:
        """2**20 amplitudes of 16 bytes are 16 MiB, a quarter of them 4 MiB."""
        assert mpi_arguments("lightning.gpu", 20, Together(4, 2), 4)["mpi_buf_size"] == 4
        with pytest.raises(SettingsError, match=rf"HADAMARD_LIGHTNING_BUFFER_MIB={buffer_mib} should be a power of two.*4 MiB"):
            mpi_arguments("lightning.gpu", 20, Together(4, 2), buffer_mib)

    def test_the_buffer_is_asked_for_by_a_variable(self) -> None:
        assert asked_buffer_mib({}) == 0
        assert asked_buffer_mib({"HADAMARD_LIGHTNING_BUFFER_MIB": "64"}) == 64
        with pytest.raises(SettingsError, match="a number of MiB such as 64, not '64M'"):
            asked_buffer_mib({"HADAMARD_LIGHTNING_BUFFER_MIB": "64M"})


class TestWhatIsInstalled:
    def test_the_wheel_of_lightning_kokkos_has_no_mpi_and_is_refused_before_it_fails(self) -> None:
        assert not built_with_mpi("lightning.kokkos")
        assert not built_with_mpi("lightning.qubit")
        with pytest.raises(NameError, match="MPIManagerKokkos"):  # PennyLane's own way to say it
            qml.device("lightning.kokkos", wires=4, mpi=True)
        with pytest.raises(SettingsError, match="lightning.kokkos was built without MPI"):
            PennyLaneSimulator("lightning.kokkos", Together(2, 2))

    def test_a_build_with_mpi_is_known_by_the_name_it_has(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = mpi_checks.compiled_module("lightning.kokkos")
        monkeypatch.setattr(f"{module}.MPIManagerKokkos", object, raising=False)
        assert built_with_mpi("lightning.kokkos")

    def test_a_device_that_is_not_installed_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, mpi_checks.compiled_module("lightning.gpu"), None)
        with pytest.raises(SettingsError, match="lightning.gpu cannot be opened here"):
            PennyLaneSimulator("lightning.gpu", Together(2, 2))


def test_a_shared_device_is_opened_by_the_first_call_with_what_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, dict[str, Any]]] = []
    real = qml.device

    def device(name: str, **arguments: Any) -> qml.devices.Device:
        opened.append((name, arguments))
        return real("lightning.qubit", wires=arguments["wires"])

    monkeypatch.setattr(qml, "device", device)
    monkeypatch.setattr(mpi_checks, "built_with_mpi", lambda name: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv(mpi_checks.BUFFER, "1")
    simulator = PennyLaneSimulator("lightning.gpu", Together(4, 4))
    assert opened == [], "each rank waits for the others while it is opened, and they may not be here yet"
    circuit = encoder_circuit(18, 0, 1)  # 4 MiB of amplitudes
    batch = random_batch(circuit, 1, 1, seed=0)
    for _ in range(2):
        simulator.expectations(circuit, batch.weights, None, batch.states)
    assert opened == [("lightning.gpu", {"wires": 18, "mpi": True, "mpi_buf_size": 1})]


def test_an_evaluation_computes_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """PennyLane has the device compute the Jacobian with the values, by those angles whose gradient may be asked for."""
    asked_for: list[int] = []
    device = type(qml.device("lightning.qubit", wires=1))
    real = device.execute_and_compute_derivatives

    def execute(self: qml.devices.Device, circuits: Sequence[qml.tape.QuantumScript], execution_config: Any) -> Any:
        asked_for.extend(angle for circuit in circuits for angle in circuit.trainable_params)
        return real(self, circuits, execution_config)

    monkeypatch.setattr(device, "execute_and_compute_derivatives", execute)
    circuit = encoder_circuit(3, 1, 1)
    batch = random_batch(circuit, 1, 2, seed=0, from_states=False)
    simulator, alone = PennyLaneSimulator("lightning.qubit"), ALONE
    with torch.no_grad():
        simulator.expectations(circuit, batch.weights.clone().requires_grad_())
    assert not asked_for
    player, values = RankSimulator(alone, PennyLaneParts(simulator, alone)), {}
    for keep in (False, True):
        (values[keep],) = player.forward(Forward(int(keep), circuit, keep, batch.weights.numpy(), None, None, 2, ()))
        assert bool(asked_for) == keep
    assert (values[False] == values[True]).all()


@pytest.mark.slow
def test_two_ranks_that_run_the_same_circuits_have_the_same_values_and_gradients() -> None:
    found = json.loads(on_ranks(2, "tests.support.ranks.pennylane")[-1])
    assert found["together"] == [2, 2]
    assert found["doctor"].startswith("8 qubits on 2 ranks as on one")
    assert found["values"] < 1e-12
    assert found["gradients"] < 1e-12
    assert found["forward_of_rank_1"] == 0.0, "what both ranks have must not be counted twice"
    assert torch.tensor(found["rank_1_alone"]).abs().max() > 0.1, "but rank 1 has it, too"


def test_groups_of_ranks_are_refused_since_a_device_shares_a_state_among_all() -> None:
    grouped = SimpleNamespace(groups=2, shards=2, leads=True, world=SimpleNamespace(size=4))
    with pytest.raises(SettingsError, match="mpi.shards should be mpi.ranks, 4, not 2; `simulator: auto` can share out a batch"):
        PennyLaneParts(PennyLaneSimulator("lightning.qubit"), grouped)  # type: ignore[arg-type]
