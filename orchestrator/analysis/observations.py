"""The finished trials of a design as arrays, and the noise within rows of the same settings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hadamard.orchestrator.analysis.blocks import block_columns
from hadamard.orchestrator.analysis.inference import Array, Fit, least_squares
from hadamard.orchestrator.design.design import Design


@dataclass(frozen=True)
class Observed:
    """The finished trials of the design as arrays: coded [trials, factors]; response, row index, split and node [trials]."""

    coded: Array
    response: Array
    rows: NDArray[np.int64]
    splits: NDArray[np.int64]
    nodes: NDArray[np.int64]
    """All 0 where it does not matter on which node a trial was."""

    @property
    def distinct(self) -> Array:
        """The coded settings of the rows that appear, [rows, factors]."""
        return self.coded[np.unique(self.rows, return_index=True)[1]]

    def only(self, kept: NDArray[np.bool_]) -> Observed:
        """Return those of the trials [trials] alone."""
        return Observed(self.coded[kept], self.response[kept], self.rows[kept], self.splits[kept], self.nodes[kept])


def observed(design: Design, results: pd.DataFrame, response: str, log: bool = False, node: str | None = None) -> Observed:
    """Return the design's finished trials that have the response; on a log scale only positive values count.

    `node` is the column that says where a trial was, if that matters for the response.
    """
    values = pd.to_numeric(results[response], errors="coerce").astype(float)
    usable = (results["status"] == "done") & results["row"].notna() & values.notna()
    if log:
        usable &= values > 0
    frame, numbers = results[usable], values[usable].to_numpy(dtype=float)
    coded = {row.index: row.coded for row in design.rows}
    rows = frame["row"].to_numpy(dtype=np.int64)
    matrix = np.array([coded[row] for row in rows], dtype=float).reshape(len(rows), len(design.factors))
    nodes = np.zeros(len(rows), dtype=np.int64) if node is None else pd.factorize(frame[node], use_na_sentinel=False)[0]
    return Observed(matrix, np.log(numbers) if log else numbers, rows, frame["split"].to_numpy(dtype=np.int64), nodes)


def setting_noise(seen: Observed) -> Fit:
    """Fit one free mean per combination of levels, with splits as blocks: rows of the same settings, such as centre points, are repeats."""
    settings = np.unique(seen.coded.round(9), axis=0, return_inverse=True)[1].reshape(-1)
    return noise_within(settings, seen.splits, seen.response, block_columns(seen.nodes))


def noise_within(groups: NDArray[np.int64], splits: NDArray[np.int64], response: Array, others: Array | None = None) -> Fit:
    """Fit one free mean per group [trials], with splits and other columns as blocks; coefficients of groups come first, then splits."""
    which = np.unique(groups, return_inverse=True)[1]
    blocks = [block_columns(splits)] if others is None else [block_columns(splits), others]
    return least_squares(np.column_stack([np.eye(which.max() + 1)[which], *blocks]), response)
