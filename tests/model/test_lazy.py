"""Lazy imports: at the first use of an attribute, and not when a plan is read."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hadamard.model.lazy import LazyModule, load


def test_a_module_is_imported_when_an_attribute_is_read() -> None:
    module = LazyModule("wave")
    sys.modules.pop("wave", None)
    assert "wave" not in sys.modules
    assert module.WAVE_FORMAT_PCM == 1
    assert "wave" in sys.modules
    with pytest.raises(AttributeError):
        _ = module.nothing_like_it


def test_a_registered_name_is_loaded() -> None:
    assert load("hadamard.model.lazy:LazyModule") is LazyModule
    with pytest.raises(AttributeError):
        load("hadamard.model.lazy:Nothing")


def test_settings_heads_and_simulators_are_known_without_torch_or_scikit_learn() -> None:
    code = """
import sys
from hadamard.model.heads.registry import HEADS
from hadamard.model.trial import TrialSettings
from hadamard.orchestrator.study.schema import Study
TrialSettings().head.parameters(256)
print([name for name in ("torch", "sklearn", "transformers", "pennylane") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
