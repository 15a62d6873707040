"""The meter of docs/extending/meters.md, added to a copy of the package by a file and a line: it is chosen, read and recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.documented import extend_as_documented
from tests.support.extended import Extended

RECORD = """\
import json, sys, time
from pathlib import Path
from hadamard.cluster.energy.choice import open_meter, why_not_measured
from hadamard.cluster.energy.recorder import Recorder, recordings

tree, study = map(Path, sys.argv[1:])
meter = open_meter({}, tree)
recorder = Recorder(study, 1, "n1", meter)
recorder.start(idle_s=0.01)
while not any(len(one.trace.joules) for one in recordings(study)):
    time.sleep(0.01)  # for the first reading
counter = next(tree.glob("sys/class/hwmon/hwmon2/energy17_input"))
counter.write_text(str(int(counter.read_text()) + 3_000_000))
recorder.stop()
(recording,) = recordings(study)
print(json.dumps({
    "counters": [vars(one) for one in recording.trace.counters],
    "joules": recording.trace.joules[-1].tolist(),
    "method": recording.method,
    "why_not": [why_not_measured({}, tree), why_not_measured({}, study)],
}))
"""


@pytest.mark.slow
def test_the_meter_of_the_page_is_chosen_and_recorded(tmp_path: Path) -> None:
    extended = Extended(tmp_path / "copy")
    assert len(extend_as_documented(extended, "meters.md")) == 1
    hwmon, study = tmp_path / "root" / "sys" / "class" / "hwmon" / "hwmon2", tmp_path / "study"
    hwmon.mkdir(parents=True)
    study.mkdir()
    for number, label, energy_uj in ((1, "Ecore000", 7_000_000), (17, "Esocket0", 90_000_000), (18, "Esocket1", 50_000_000)):
        (hwmon / f"energy{number}_label").write_text(f"{label}\n")
        (hwmon / f"energy{number}_input").write_text(f"{energy_uj}\n")
    done = extended.python("-c", RECORD, str(tmp_path / "root"), str(study))
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert [(counter["name"], counter["scope"]) for counter in seen["counters"]] == [("socket-0", "cpu socket"), ("socket-1", "cpu socket")]
    assert seen["joules"] == pytest.approx([3.0, 0.0])
    assert seen["method"] == "counter"
    assert seen["why_not"][0] == ""
    assert "no socket energy under /sys/class/hwmon" in seen["why_not"][1]
