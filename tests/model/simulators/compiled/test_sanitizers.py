"""All kernels of every vector width, built with sanitizers of addresses and undefined behaviour, on odd sizes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.support.sanitized_kernels import WIDTHS, sanitizer_library

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a first build takes a minute or two of two cores


@pytest.mark.skipif(sanitizer_library() is None, reason="the C++ compiler has no address sanitizer")
def test_sanitizers_find_nothing_in_the_kernels() -> None:
    program = str(ROOT / "tests" / "support" / "sanitized_kernels.py")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-5000:]
    assert done.stdout.count("nothing found") == len(WIDTHS)
