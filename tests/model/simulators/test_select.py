"""Which simulator a name stands for on this machine, and why."""

from __future__ import annotations

import pytest

from hadamard.model.circuits.circuit import Circuit, Gate, encoder_circuit
from hadamard.model.errors import SettingsError
from hadamard.model.simulators import hardware, registry
from hadamard.model.simulators.registry import open_simulator
from hadamard.model.simulators.select import resolve

REAL, COMPLEX = encoder_circuit(4, 1, 1), Circuit(2, (Gate("S", (0,)),), measured=1)


def test_a_name_is_taken_at_its_word() -> None:
    assert resolve("lightning.qubit", [REAL]).reason == "lightning.qubit, asked for by name"


def test_auto_takes_the_compiled_one_for_real_circuits_on_a_cpu() -> None:
    choice = resolve("auto", [REAL])
    assert choice.name == "compiled"
    assert choice.reason == "compiled, chosen by auto: real circuits of up to 4 qubits, on the CPU"


def test_auto_takes_fused_for_complex_gates_and_where_nothing_was_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "complex circuits of up to 4 qubits" in resolve("auto", [REAL, COMPLEX]).reason
    monkeypatch.setattr(hardware, "is_installed", lambda kind: kind.name != "compiled")
    choice = resolve("auto", [REAL])
    assert choice.name == "fused"
    assert "compiled is not installed, see `hadamard doctor`" in choice.reason
    monkeypatch.setattr(registry, "is_installed", hardware.is_installed)
    with pytest.raises(SettingsError, match="install a C.. compiler"):
        open_simulator("compiled")


def test_auto_goes_to_the_gpu_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "gpu_in_sight", lambda: True)
    assert resolve("auto", [REAL]).name == "triton"
    assert resolve("auto", [encoder_circuit(15, 1, 1)]).name == "fused"
    assert resolve("auto", [encoder_circuit(14, 1, 1)], "float64").name == "fused"
