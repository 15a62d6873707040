"""What tests of the orchestrator share."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.orchestrator.study.expansion import Plan
from tests.support.studies import read


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """The plan of the tiny study."""
    return read(tmp_path)
