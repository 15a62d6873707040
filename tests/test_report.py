"""The report: every state a study can be in gives a page that stands alone, and equal results give equal tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.design import Design, build
from orchestrator.design_kinds import PlackettBurman
from orchestrator.factors import Factor
from orchestrator.report import write

FACTORS = (
    Factor("head.qubits", levels=(6, 10)),
    Factor("head.encoder_layers", levels=(1, 4)),
    Factor("head.reuploads", levels=(1, 4)),
    Factor("head.connectivity", levels=(1, 2)),
    Factor("training.lr", low=0.003, high=0.03, scale="log"),
    Factor("training.weight_decay", levels=(0.0, 0.01)),
    Factor("head.constant", levels=(False, True)),
)
TRUE_EFFECTS = (0.030, 0.004, 0.0, 0.0, -0.016, 0.0, 0.012)
BASELINES = {"logistic": (0.758, 385), "svc": (0.751, 179), "mlp": (0.742, 18722)}


def synthetic(design: Design, splits: int = 20, baselines: Mapping[str, tuple[float, int]] = BASELINES, seed: int = 1) -> dict[str, Any]:
    """Return the arguments of `write` for a finished study whose true effects, interaction and noise are known."""
    rng = np.random.default_rng(seed)
    easy = rng.normal(0, 0.008, splits)
    weights = np.resize(TRUE_EFFECTS, len(design.factors)) / 2
    lines, curves = [], {}
    arms = [(row.name, row.index, 0.690 + float(weights @ row.coded) + 0.004 * row.coded[0] * row.coded[-1], 120 + 40 * row.index, row.values) for row in design.rows]
    arms += [(name, None, level, size, {}) for name, (level, size) in baselines.items()]
    for name, index, level, size, values in arms:
        for split in range(splits):
            key = f"{name}-s{split:02d}-{abs(hash((index or 0, split))) % 16**8:08x}"
            test = level + easy[split] + rng.normal(0, 0.007)
            lines.append({
                "key": key, "arm": name, "row": index, "split": split, "status": "done", "cause": None,
                "test_accuracy": test, "validation_accuracy": round((test + rng.normal(0, 0.03)) * 77) / 77, "train_accuracy": test + 0.06,
                "test_loss": 0.6 - test / 4, "parameters": size, **values,
            })  # fmt: skip
            if index is not None:
                curves[key] = [_epoch(epoch, test, rng) for epoch in range(1, 31)]
    results = pd.DataFrame(lines).astype({"row": "Int64", "parameters": "Int64"})
    costs = pd.DataFrame({"key": results["key"], "attempts": 1, "walltime_s": rng.lognormal(3, 0.3, len(lines))})
    qubits = results["head.qubits"].fillna(0).astype(float) if "head.qubits" in results else pd.Series(0.0, results.index)
    costs["train_s"] = np.exp(0.3 * qubits + rng.normal(0, 0.1, len(lines)))
    costs["energy_j"] = costs["train_s"] * 42
    return {
        "study": {"name": "demo", "corpus": "reviews, 2000 sentences", "sentence encoder": "all-MiniLM-L6-v2, frozen", "training": "30 epochs, batch 16, Adam"},
        "design": design,
        "results": results,
        "costs": costs.assign(energy_scope="package", energy_method="counter (RAPL)", host="node01"),
        "curves": curves,
        "provenance": {"git commit": "0123abcd", "python": "3.11", "data": "sha256 9f2c", "command": "hadamard run study.yaml"},
    }  # fmt: skip


def _epoch(epoch: int, test: float, rng: np.random.Generator) -> dict[str, float]:
    risen = 1 - math.exp(-epoch / 6)
    noise = rng.normal(0, 0.01, 2)
    return {
        "epoch": epoch, "train_loss": 0.7 - 0.2 * risen, "validation_loss": 0.7 - 0.15 * risen,
        "train_accuracy": 0.5 + (test - 0.42) * risen + noise[0], "validation_accuracy": 0.5 + (test - 0.5) * risen + noise[1],
    }  # fmt: skip


def screening(**settings: Any) -> Design:
    return build(PlackettBurman(**settings), FACTORS, seed=3)
