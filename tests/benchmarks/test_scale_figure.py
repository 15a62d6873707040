"""Steps on more qubits than fit here: as few ranks as hold them, the figure with what it rests on, and other machines."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from benchmarks.scale_figure import PAPER, QUBITS, assumptions, estimate_step, estimates, machine, main
from hadamard.model.heads.quantum.settings import QuantumHead
from hadamard.orchestrator.planning.cost_model import PROCESS_BYTES, SHARDED_KERNELS
from hadamard.orchestrator.planning.rank_layout import ALONE
from tests.support.studies import TINY, write_study

GIB = 2**30


def test_as_few_ranks_as_hold_a_state_and_joules_of_all_of_them() -> None:
    ranks = machine(memory_gib=4, watts=10)
    found = estimates(PAPER, range(26, 33), ranks, 4)
    assert [one.qubits for one in found] == list(range(26, 33))
    for one in found:
        assert one.memory_bytes <= 4 * GIB
        assert one.layout.ranks == one.layout.shards
        assert one.energy_j == pytest.approx(10 * one.layout.ranks * one.seconds)
        assert one.memory_bytes == PROCESS_BYTES + 3.25 * 4 * 2**one.qubits / one.layout.shards
        assert one.layout == ALONE or PROCESS_BYTES + 3.25 * 4 * 2**one.qubits / (one.layout.shards // 2) > 4 * GIB
    assert found[0].exchange_s == 0.0
    assert estimate_step(QuantumHead(qubits=30), machine(memory_gib=0.1), 4) is None


@pytest.mark.slow
def test_the_figure_and_the_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--memory-gib", "64", "--out", str(tmp_path / "new")])
    with Image.open(tmp_path / "new" / "scale.png") as picture:
        assert picture.width > 1500
    text = capsys.readouterr().out
    rows = [line.split() for line in text.splitlines() if line.strip()[:2].isdigit()]
    assert [row[0] for row in rows] == list(map(str, QUBITS))
    ranks = [int(row[1].replace(",", "")) for row in rows]
    assert ranks == sorted(ranks)
    assert (ranks[0], ranks[-1]) == (1, 2**14)
    assert all(line in text for line in assumptions(PAPER, machine(memory_gib=64), 4)), "no estimate without what it rests on"


def test_the_head_of_a_study_is_taken_and_others_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_study(tmp_path)
    main([str(path), "--set", "precision=float64", "--set", "head.layers=0", "--out", str(tmp_path / "out")])
    assert "N = 1, 0 layers; real amplitudes of 8 bytes" in capsys.readouterr().out
    lines = [line for line in TINY.splitlines() if not line.startswith(("head", "  head", "baselines"))]
    path.write_text("\n".join([*lines, "head: {kind: mlp}"]))
    for words, message in (
        ([str(path)], f"{path} has a mlp head; name a study with a quantum head"),
        (["--memory-gib", "0.5"], "before its first state; give --memory-gib more"),
    ):
        with pytest.raises(SystemExit):
            main([*words, "--out", str(tmp_path)])
        assert message in capsys.readouterr().err


def test_machines_are_compared_by_their_numbers() -> None:
    (one,) = estimates(PAPER, [30], machine(network_gb_s=0.1), 4)
    (other,) = estimates(PAPER, [30], machine(network_gb_s=1, kernel_ns=2), 4)
    assert one.step == other.step
    assert one.exchange_s - other.exchange_s == pytest.approx(one.step.rank_bytes * (1 / 0.1e9 - 1 / 1e9))
    assert other.compute_s - one.compute_s == pytest.approx(one.step.gate_amplitudes * (2e-9 - SHARDED_KERNELS.uncached_s))
