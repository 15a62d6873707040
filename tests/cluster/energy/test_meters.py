"""Meters: one contract for all, on files like the kernel's and on a driver's library that the test makes; the choice among them."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hadamard.cluster.energy import zeus_meters
from hadamard.cluster.energy.base import CPU, GPUS, Counter, Host, Meter, MeterError, step_j, used_j
from hadamard.cluster.energy.choice import Joined, open_meter, why_not_measured
from hadamard.cluster.energy.modelled import ModelledCpu
from hadamard.cluster.energy.replay import Replay
from hadamard.cluster.energy.sysfs import CRAY, POWERCAP, CrayNode, Powercap
from hadamard.model.errors import UserError


def zone(directory: Path, name: str, energy_uj: int, range_uj: int = 262_143_328_850) -> Path:
    """Write a powercap zone as the kernel shows it."""
    directory.mkdir(parents=True)
    for file, content in {"name": name, "energy_uj": energy_uj, "max_energy_range_uj": range_uj, "enabled": 1}.items():
        (directory / file).write_text(f"{content}\n")
    return directory


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Two packages with memory, their cores, and the platform's zone, which includes all of it."""
    root = tmp_path / POWERCAP
    (root / "intel-rapl").mkdir(parents=True)
    for package in (0, 1):
        inner = zone(root / f"intel-rapl:{package}", f"package-{package}", 1_000_000 * (package + 1))
        zone(inner / f"intel-rapl:{package}:0", "core", 99_000_000)
        zone(inner / f"intel-rapl:{package}:1", "dram", 500_000, 65_712_999_613)
    zone(root / "intel-rapl:2", "psys", 77_000_000)
    return root


@pytest.fixture
def cray(tmp_path: Path) -> Path:
    root = tmp_path / CRAY
    root.mkdir(parents=True)
    for name, value in {
        "energy": "5000 J",
        "accel0_energy": "1200 J",
        "accel1_energy": "800 J",
        "power": "310 W",
        "freshness": "12",
    }.items():
        (root / name).write_text(f"{value} 1764300000000000 us\n")
    return root


@pytest.fixture
def stat(tmp_path: Path) -> Path:
    file = tmp_path / "stat"
    file.write_text("cpu  100 20 30 9999 50 6 4 7 0 0\ncpu0 1 2 3\n")
    return file


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    file = tmp_path / "trace.csv"
    file.write_text("time_s,energy_j,gpu:0\nwraps_at,1000,\n100,900,5\n110,950,6\n130,150,16\n")
    return file


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, int]]:
    """A driver with two GPUs, as `pynvml` shows it to Zeus; yields their counters in millijoules."""
    energy_mj, fake = {0: 7_000_000, 1: 9_000_000}, types.ModuleType("pynvml")

    class NVMLError(Exception):
        value = 0

    fake.NVMLError = NVMLError  # type: ignore[attr-defined]
    uuids = {"GPU-aaaa": 0, "GPU-bbbb": 1}

    def by_uuid(name: str) -> int:
        if name not in uuids:
            raise NVMLError(f"no device {name}")
        return uuids[name]

    answers: dict[str, object] = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: len(energy_mj),
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetHandleByUUID": by_uuid,
        "nvmlDeviceGetIndex": lambda handle: handle,
        "nvmlDeviceGetName": lambda _: "NVIDIA Fake",
        "nvmlDeviceGetArchitecture": lambda _: 9,
        "nvmlDeviceGetTotalEnergyConsumption": lambda handle: energy_mj[handle],
        "nvmlDeviceGetC2cModeInfoV": lambda _: types.SimpleNamespace(isC2cEnabled=0),
        "NVML_DEVICE_ARCH_VOLTA": 5,
        "nvmlSystemGetDriverVersion": lambda: "fake",
    }
    for name, answer in answers.items():
        setattr(fake, name, answer)
    fake.__getattr__ = lambda name: len(name) if name.isupper() or "ERROR" in name else (lambda *_: 0)  # type: ignore[method-assign]
    for name in [name for name in sys.modules if name == "zeus" or name.startswith("zeus.")]:
        monkeypatch.delitem(sys.modules, name)  # it keeps the GPUs that it has found
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield energy_mj
    for name in [name for name in sys.modules if name == "zeus" or name.startswith("zeus.")]:
        del sys.modules[name]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A machine whose files the other fixtures write."""
    return Host({}, tmp_path)


@pytest.fixture(params=["powercap", "cray", "modelled", "replay", "zeus", "joined"])
def working(
    request: pytest.FixtureRequest, powercap: Path, cray: Path, stat: Path, trace: Path, host: Host
) -> tuple[Meter, Callable[[], object]]:
    """A meter, and what has its node take 3 J by the meter's first counter."""
    moments = iter([105.0, 105.6])

    def more_in(file: Path, before: str, after: str) -> Callable[[], object]:
        return lambda: file.write_text(file.read_text().replace(before, after))

    in_package = more_in(powercap / "intel-rapl:0" / "energy_uj", "1000000", "4000000")
    ways: dict[str, Callable[[], tuple[Meter, Callable[[], object]]]] = {
        "powercap": lambda: (Powercap(host, {CPU}), in_package),
        "cray": lambda: (CrayNode(host, {CPU, GPUS}), more_in(cray / "energy", "5000 J", "5003 J")),
        "modelled": lambda: (ModelledCpu(10.0, stat), more_in(stat, "cpu  100", "cpu  130")),
        "replay": lambda: (Replay(trace, lambda: next(moments)), lambda: None),
        "joined": lambda: (Joined([Powercap(host, {CPU}), CrayNode(host, {CPU, GPUS})]), in_package),
    }
    if request.param == "zeus":
        energy_mj = request.getfixturevalue("nvml")
        return zeus_meters.ZeusGpus(host, {GPUS}), lambda: energy_mj.update({0: energy_mj[0] + 3000})
    return ways[request.param]()


@pytest.mark.filterwarnings("ignore")
class TestContract:
    def test_every_counter_has_a_name_a_device_and_a_scope_and_a_reading(self, working: tuple[Meter, Callable[[], object]]) -> None:
        meter, _ = working
        names = [counter.name for counter in meter.counters]
        assert len(set(names)) == len(names) > 0
        assert all(counter.device == "cpu" or counter.device.startswith("gpu") for counter in meter.counters)
        assert all(counter.scope for counter in meter.counters)
        assert meter.method in ("counter", "modelled", "replay")
        assert len(meter.read()) == len(names)

    def test_two_readings_tell_what_was_used_between_them(self, working: tuple[Meter, Callable[[], object]]) -> None:
        meter, take_3_j = working
        before = meter.read()
        take_3_j()
        device = meter.counters[0].device
        assert used_j(meter.counters, before, meter.read())[device] == pytest.approx(3.0)


def test_powercap_counts_packages_and_memory_and_nothing_twice(powercap: Path, host: Host) -> None:
    meter = Powercap(host, {CPU})
    assert [(counter.name, counter.scope) for counter in meter.counters] == [
        ("package-0", "cpu package"), ("dram-0", "dram"), ("package-1", "cpu package"), ("dram-1", "dram"),
    ]  # fmt: skip
    assert meter.read() == pytest.approx((1.0, 0.5, 2.0, 0.5))
    assert meter.counters[0].wraps_at_j == pytest.approx(262_143.328850)


def test_a_counter_that_starts_again_loses_nothing(powercap: Path, host: Host) -> None:
    meter = Powercap(host, {CPU})
    file = powercap / "intel-rapl:0" / "energy_uj"
    file.write_text("262143000000\n")
    before = meter.read()
    file.write_text("671150\n")
    assert used_j(meter.counters, before, meter.read()) == {"cpu": pytest.approx(0.328850 + 0.671150)}
    assert step_j(Counter("node", "cpu", "node"), 5.0, 4.5) == -0.5, "one that never starts again may only have been read late"


def test_a_zone_that_vanishes_is_a_dead_meter(powercap: Path, host: Host) -> None:
    meter = Powercap(host, {CPU})
    (powercap / "intel-rapl:1" / "energy_uj").unlink()
    with pytest.raises(MeterError, match="intel-rapl:1/energy_uj"):
        meter.read()


def test_a_cray_node_is_counted_once(cray: Path, host: Host) -> None:
    meter = CrayNode(host, {CPU, GPUS})
    assert dict(zip([(one.device, one.scope) for one in meter.counters], meter.read(), strict=True)) == {
        ("cpu", "node without accelerators"): 3000.0,
        ("gpu", "all accelerators of the node"): 2000.0,
    }
    assert CrayNode(host, {CPU}).read() == (3000.0,), "another meter has the GPUs"


def test_what_is_modelled_is_cpu_seconds_times_watts(stat: Path) -> None:
    assert ModelledCpu(10.0, stat).read() == pytest.approx((10.0 * (100 + 20 + 30 + 6 + 4) / 100,))
    assert "CPU seconds x 10 W" in ModelledCpu(10.0, stat).counters[0].scope


def test_replay_gives_exactly_the_joules_of_the_trace(trace: Path) -> None:
    moments = iter([105.0, 120.0, 131.0])
    meter = Replay(trace, lambda: next(moments))
    before, after = meter.read(), meter.read()
    assert used_j(meter.counters, before, after) == {"cpu": pytest.approx(25 + 100), "gpu:0": pytest.approx(0.5 + 5)}
    with pytest.raises(MeterError, match=r"no reading at 131\.0"):
        meter.read()


def test_gpus_are_named_as_their_mask_names_them(nvml: dict[int, int], host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-bbbb")
    meter = zeus_meters.ZeusGpus(host, {GPUS})
    assert [counter.device for counter in meter.counters] == ["gpu:GPU-bbbb"]
    assert meter.read() == (9000.0,)
    nvml[1] += 2500
    assert meter.read() == (9002.5,)
    import os

    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-bbbb"


@pytest.mark.parametrize("mask", ["", "GPU-cccc"])
def test_no_gpu_is_no_meter(nvml: dict[int, int], host: Host, monkeypatch: pytest.MonkeyPatch, mask: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mask)
    with pytest.raises(MeterError, match="Zeus cannot read the GPUs"):
        zeus_meters.ZeusGpus(host, {GPUS})


def test_zeus_reads_packages_where_it_may(powercap: Path, host: Host, monkeypatch: pytest.MonkeyPatch, nvml: dict[int, int]) -> None:
    from zeus.device.cpu import rapl

    tree = powercap / "intel-rapl"
    for package in sorted(powercap.glob("intel-rapl:[01]")):
        package.rename(tree / package.name)
    monkeypatch.setattr(rapl, "RAPL_DIR", str(tree))
    monkeypatch.setattr(rapl, "RaplWraparoundTracker", lambda *_: types.SimpleNamespace(get_num_wraparounds=lambda: 0))
    meter = zeus_meters.ZeusCpus(host, {CPU})
    assert dict(zip([counter.name for counter in meter.counters], meter.read(), strict=True)) == {
        "package-0": 1.0, "package-1": 2.0, "dram-0": 0.5, "dram-1": 0.5,
    }  # fmt: skip


def test_the_meter_is_chosen_by_the_environment(trace: Path) -> None:
    assert open_meter({"HADAMARD_ENERGY": "off"}) is None
    assert why_not_measured({"HADAMARD_ENERGY": "off"}).startswith("switched off")
    assert isinstance(open_meter({"HADAMARD_ENERGY": f"replay:{trace}"}), Replay)
    named = {"HADAMARD_ENERGY": f"replay:{trace.parent}/{{host}}.csv", "SLURMD_NODENAME": "trace"}
    assert isinstance(open_meter(named), Replay), "each node has a trace of its own"
    modelled = open_meter({"HADAMARD_ENERGY": "modelled:6.5"})
    assert modelled is not None
    assert modelled.method == "modelled"


@pytest.mark.parametrize(
    "value",
    [
        "on",
        "replay",
        "replay:/nowhere.csv",
        "modelled:",
        "modelled:-3",
        "modelled:many",
        "modelled:inf",
        "replay:{user}.csv",
        "replay:{host.y}",
    ],
)
def test_a_meter_that_cannot_be_had_is_refused(value: str) -> None:
    with pytest.raises(UserError, match="HADAMARD_ENERGY"):
        open_meter({"HADAMARD_ENERGY": value})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("time,energy_j\n1,2\n", ":1:"),
        ("time_s,energy_j\n1,2\n2,x\n", ":3:"),
        ("time_s,energy_j\n1,2,3\n", ":2: 3 values for 2"),
        ("", ":1:"),
    ],
)
def test_a_damaged_trace_is_named_by_its_line(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(UserError, match=said):
        why_not_measured({"HADAMARD_ENERGY": f"replay:{tmp_path}/t.csv"})


def test_why_nothing_is_measured_is_said_with_the_way_to_get_it(tmp_path: Path) -> None:
    why = why_not_measured({}, tmp_path)
    assert "no energy counter" in why
    assert "no NVIDIA GPU, no Cray counters under /sys/cray/pm_counters, no RAPL" in why
    assert "HADAMARD_ENERGY=modelled:WATTS" in why
    assert open_meter({}, tmp_path) is None


def test_counters_that_this_user_may_not_read_are_told_with_the_way_to_read_them(tmp_path: Path, powercap: Path) -> None:
    assert why_not_measured({}, tmp_path) == ""
    for package in (0, 1, 2):  # as an administrator hides them; root may read all the same, so they are removed
        (powercap / f"intel-rapl:{package}" / "energy_uj").unlink()
    assert "chmod a+r" in why_not_measured({}, tmp_path)
    assert open_meter({}, tmp_path) is None
    assert why_not_measured({"ZEUSD_SOCK_PATH": "/run/zeusd"}, tmp_path) == ""


def test_gpus_without_zeus_are_told_with_the_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidiactl").touch()
    assert why_not_measured({}, tmp_path) == ""
    monkeypatch.setattr(zeus_meters.importlib.util, "find_spec", lambda _: None)
    assert "pip install --no-deps zeus" in why_not_measured({}, tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_every_device_is_counted_by_one_meter(tmp_path: Path, cray: Path, powercap: Path, nvml: dict[int, int]) -> None:
    node = open_meter({}, tmp_path)
    assert node is not None
    assert [counter.name for counter in node.counters] == ["node", "gpu"], "Cray's counters include what RAPL counts"
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidiactl").touch()
    apart = open_meter({}, tmp_path)
    assert apart is not None
    assert [counter.name for counter in apart.counters] == ["gpu:0", "gpu:1", "node"]


def test_counters_that_cannot_be_opened_are_logged_and_others_are_used(
    tmp_path: Path, cray: Path, powercap: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (cray / "energy").write_text("broken\n")
    meter = open_meter({}, tmp_path)
    assert meter is not None
    assert meter.counters[0].name == "package-0"
    assert "Cray counters under /sys/cray/pm_counters: is there, but not counted" in caplog.text
