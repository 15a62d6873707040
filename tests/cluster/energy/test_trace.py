"""Traces: joules between moments from readings in any order, over counters that start again, from files that a lost node has damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hadamard.cluster.energy.base import Counter
from hadamard.cluster.energy.trace import read_trace, trace_of

PACKAGE = Counter("package-0", "cpu", "cpu package", 1000.0)


def test_joules_lie_on_straight_lines_between_readings_and_are_unknown_beyond_them() -> None:
    trace = trace_of([PACKAGE], [10.0, 20.0, 40.0], [[0.0], [100.0], [200.0]])
    assert trace.at([10, 15, 30, 40], 0) == pytest.approx([0, 50, 150, 200])
    assert np.isnan(trace.at([9.9, 40.1], 0)).all()


def test_readings_in_the_wrong_order_and_counters_that_start_again_lose_nothing() -> None:
    trace = trace_of([PACKAGE], [20.0, 10.0, 30.0], [[950.0], [900.0], [50.0]])
    assert trace.times_s.tolist() == [10, 20, 30]
    assert trace.joules[:, 0].tolist() == [0, 50, 150]


def test_a_trace_without_readings_knows_nothing() -> None:
    assert np.isnan(trace_of([PACKAGE], [], []).at([1.0], 0)).all()
    assert len(read_trace(Path("/nowhere.csv"), [PACKAGE]).times_s) == 0


def test_what_a_lost_node_has_damaged_in_our_own_record_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "n1.csv"
    file.write_text("time_s,package-0\nwraps_at,1000.0\n1,10\n2,2\x00\x00\n3,30,9\n4,40\n5,5")  # the last line is torn
    trace = read_trace(file, [PACKAGE])
    assert trace.times_s.tolist() == [1, 4]
    assert trace.joules[:, 0].tolist() == [0, 30]


def test_columns_of_a_foreign_trace_are_the_cpus_unless_they_are_named_gpu(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("time_s,energy_j,gpu,gpu:1\nwraps_at,,5,\n1,0,0,0\n2,1,2,3\n")
    trace = read_trace(file)
    assert [(counter.device, counter.wraps_at_j) for counter in trace.counters] == [("cpu", None), ("gpu", 5.0), ("gpu:1", None)]
    assert trace.of("gpu:1") == [2]
