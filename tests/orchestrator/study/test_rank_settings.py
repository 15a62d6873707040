"""Settings of MPI ranks: which go together with a head, a simulator and a batch, and the words for those that do not."""

from __future__ import annotations

import pytest

from hadamard.model.errors import SettingsError
from hadamard.model.heads.quantum.settings import QuantumHead, encoder_and_second_module
from hadamard.model.settings import Mpi
from hadamard.model.simulators.sharded.stages import LEAST_LOCAL, plan_stages
from hadamard.model.trial import TrialSettings
from hadamard.orchestrator.study.rank_settings import can_share, check_ranks, most_shards, shares_with_all


def settings(
    ranks: int | str = "auto", shards: int | str = "auto", simulator: str = "auto", qubits: int = 10, batch: int = 16
) -> TrialSettings:
    return TrialSettings.model_validate(
        {
            "head": {"kind": "quantum", "qubits": qubits},
            "training": {"batch": batch},
            "simulator": simulator,
            "mpi": {"ranks": ranks, "shards": shards},
        }
    )


def test_shards_leave_both_circuits_local_wires() -> None:
    for head in (QuantumHead(qubits=5), QuantumHead(qubits=3, encoders=2, merge="concatenate")):
        for circuit in encoder_and_second_module(head):
            plan_stages(circuit, most_shards(head))
        assert most_shards(head) == 2 ** (head.qubits - LEAST_LOCAL)
        with pytest.raises(ValueError, match="shards of a state"):
            plan_stages(encoder_and_second_module(head)[0], 2 * most_shards(head))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (settings(2, 4), r"mpi.ranks = 2 is no multiple of mpi.shards = 4"),
        (settings(64, 64, qubits=7), r"mpi.shards = 64, .* with circuits of 7 qubits, 32 shards have that"),
        (settings(64, 2, batch=16), r"mpi.ranks = 64 is more than training.batch = 16 times the shards of a state, of which there are 2:"),
        (settings(64, qubits=4, batch=8), r"there are at most 4: some would have nothing to do"),
        (settings(2, simulator="compiled"), r"mpi.ranks = 2, but compiled runs in one process. Choose from: auto, sharded, lightning"),
        (settings("auto", 2, simulator="lightning.qubit"), r"mpi.shards = 2, but lightning.qubit runs in one process"),
        (settings(4, 2, simulator="lightning.kokkos"), r"lightning.kokkos shares every state among all ranks"),
    ],
)
def test_what_cannot_go_together_is_refused_with_what_could(wrong: TrialSettings, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        check_ranks(wrong)


@pytest.mark.parametrize(
    "right",
    [settings(1, 1, simulator="torch"), settings(32, 2), settings(32), settings(4, 4, simulator="lightning.gpu"), settings("auto", 8)],
)
def test_what_can_go_together_is_not_refused(right: TrialSettings) -> None:
    check_ranks(right)


def test_heads_without_circuits_ignore_ranks() -> None:
    check_ranks(TrialSettings(head={"kind": "mlp"}, simulator="torch", mpi=Mpi(ranks=64)))  # type: ignore[arg-type]
    assert most_shards(TrialSettings(head={"kind": "mlp"}).head) == 1  # type: ignore[arg-type]


def test_simulators_share_states_in_groups_or_among_all_ranks() -> None:
    assert [can_share(name) for name in ("auto", "sharded", "lightning.kokkos", "compiled", "torch")] == [True, True, True, False, False]
    assert [shares_with_all(name) for name in ("auto", "sharded", "lightning.kokkos")] == [False, False, True]
