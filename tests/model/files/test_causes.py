"""Causes: their names in files, and their documentation."""

from __future__ import annotations

import json
import re

from hadamard.model.files.causes import Cause
from tests.conftest import ROOT


def test_a_cause_is_its_name_wherever_it_is_written() -> None:
    assert json.dumps({"cause": Cause.NODE_LOST}) == '{"cause": "node lost"}'
    assert f"{Cause('out of memory')}" == "out of memory"
    assert (Cause.NODE_LOST.retries, Cause.DIVERGED.retries, Cause.TIMEOUT.retries) == (3, 0, 0)


def test_every_cause_is_documented_with_its_retries() -> None:
    document = (ROOT / "docs" / "fault-tolerance.md").read_text()
    stops, failures = document.split("| `stopped` by |")[1].split("| `failed` by |")
    retries = {name: int(number) for name, number in re.findall(r"\| `([a-z ]+)` \| (\d) \|", failures)}
    assert all(Cause(name).retries == number for name, number in retries.items())
    assert {*retries, *re.findall(r"\| `([a-z ]+)` \| ", stops)} == set(Cause) - {Cause.STOPPED}
