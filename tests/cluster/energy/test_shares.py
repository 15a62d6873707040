"""Whose the joules are, by traces whose joules are known: one after the other, side by side, packed, over several nodes, and half dead."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hadamard.cluster.energy.base import Counter
from hadamard.cluster.energy.recorder import Recording
from hadamard.cluster.energy.shares import Hold, share
from hadamard.cluster.energy.trace import trace_of

PACKAGE, DRAM = Counter("package-0", "cpu", "cpu package", 1000.0), Counter("dram-0", "cpu", "dram")
GPUS = (Counter("gpu-0", "gpu:0", "gpu"), Counter("gpu-1", "gpu:1", "gpu"))


def recording(*counters: Counter, watts: list[float], until_s: float = 100.0, idle_w: tuple[float, ...] | None = None) -> Recording:
    """Return a node whose counters rise by these watts from 0 s on, the wrapping ones starting again from zero on the way."""
    times = np.arange(0.0, until_s + 1)
    readings = [[watt * t % (counter.wraps_at_j or np.inf) for counter, watt in zip(counters, watts, strict=True)] for t in times]
    return Recording(1, "n1", "counter", trace_of(counters, times.tolist(), readings), idle_w, None)


def cores(number: float, begin_s: float, end_s: float, **gpus: float) -> Hold:
    return Hold({"cpu": number, **{name.replace("gpu", "gpu:"): amount for name, amount in gpus.items()}}, begin_s, end_s)


def test_one_alone_is_charged_for_all_of_its_devices_across_a_count_that_starts_again() -> None:
    node = recording(PACKAGE, DRAM, watts=[90.0, 10.0], idle_w=(30.0, 5.0))
    own = cores(1, 10, 50)
    found = share(node, own, [own], [10, 20, 50])
    assert found.gross_j == pytest.approx([0, 1000, 4000]), "the package's count starts again at 1,000 J, three times"
    assert found.net_j == pytest.approx([0, 650, 2600])
    assert found.scope == "cpu package + dram"


def test_those_side_by_side_share_by_device_seconds() -> None:
    node = recording(PACKAGE, watts=[60.0])
    two, one, later = cores(2, 0, 30), cores(1, 10, 20), cores(1, 30, 40)
    everybody = [two, one, later]
    assert share(node, two, everybody, [10, 20, 30]).gross_j == pytest.approx([600, 1000, 1600])
    assert share(node, one, everybody, [20]).gross_j == pytest.approx([200])
    assert share(node, later, everybody, [40]).gross_j == pytest.approx([600])


def test_those_without_a_gpu_meter_none_and_a_gpu_is_its_holders() -> None:
    node = recording(PACKAGE, *GPUS, watts=[40.0, 300.0, 70.0])
    on_gpu, on_core = cores(1, 0, 10, gpu0=1), cores(1, 0, 10)
    everybody = [on_gpu, on_core]
    assert share(node, on_core, everybody, [10]).gross_j == pytest.approx([200])
    found = share(node, on_gpu, everybody, [10])
    assert found.gross_j == pytest.approx([200 + 3000])
    assert found.scope == "cpu package + gpu"


def test_accelerators_that_are_counted_together_are_shared_by_their_number() -> None:
    node = recording(PACKAGE, Counter("accelerators", "gpu", "all accelerators"), watts=[0.0, 800.0])
    three, one = cores(1, 0, 10, gpu0=1, gpu1=1, gpu2=1), cores(1, 0, 10, gpu3=1)
    assert share(node, three, [three, one], [10]).gross_j == pytest.approx([6000])


def test_a_gpu_that_is_not_counted_leaves_its_holder_without_joules() -> None:
    own = cores(1, 0, 10, gpu0=1)
    assert np.isnan(share(recording(PACKAGE, watts=[40.0]), own, [own], [10]).gross_j).all()
    assert np.isnan(share(recording(GPUS[0], watts=[9.0]), cores(1, 0, 10), [cores(1, 0, 10)], [10]).gross_j).all()


def test_a_meter_that_dies_half_way_leaves_nothing_from_there_on() -> None:
    node = recording(PACKAGE, watts=[10.0], until_s=25.0)
    own = cores(1, 10, 40)
    gross = share(node, own, [own], [20, 25, 30, 40]).gross_j
    assert gross[:2] == pytest.approx([100, 150])
    assert all(math.isnan(value) for value in gross[2:])
    before = cores(1, -5, 10)
    assert np.isnan(share(node, before, [before], [10]).gross_j).all(), "nor is anything known from before it ran"


def test_without_an_idle_baseline_there_is_no_net() -> None:
    own = cores(1, 0, 10)
    found = share(recording(PACKAGE, watts=[10.0]), own, [own], [10])
    assert found.gross_j == pytest.approx([100])
    assert np.isnan(found.net_j).all()
