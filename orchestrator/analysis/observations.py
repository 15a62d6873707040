"""The finished trials of a design as arrays, and the noise in them that no setting of the factors explains.

Owns which trials count and what repeats what. Does not own any model of how factors act.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orchestrator.analysis.blocks import split_columns
from orchestrator.analysis.inference import Array, Fit, least_squares
from orchestrator.design.design import Design


@dataclass(frozen=True)
class Observed:
    """The finished trials of the design as arrays: coded [trials, factors]; response, row index and split [trials]."""

    coded: Array
    response: Array
    rows: NDArray[np.int64]
    splits: NDArray[np.int64]

    @property
    def distinct(self) -> Array:
        """The coded settings of the rows that appear, [rows, factors]."""
        return self.coded[np.unique(self.rows, return_index=True)[1]]


def observed(design: Design, results: pd.DataFrame, response: str, log: bool = False) -> Observed:
    """Return the design's finished trials that have the response; on a log scale only positive values count."""
    values = pd.to_numeric(results[response], errors="coerce").astype(float)
    usable = (results["status"] == "done") & results["row"].notna() & values.notna()
    if log:
        usable &= values > 0
    frame, numbers = results[usable], values[usable].to_numpy(dtype=float)
    coded = {row.index: row.coded for row in design.rows}
    rows = frame["row"].to_numpy(dtype=np.int64)
    matrix = np.array([coded[row] for row in rows], dtype=float).reshape(len(rows), len(design.factors))
    return Observed(matrix, np.log(numbers) if log else numbers, rows, frame["split"].to_numpy(dtype=np.int64))


def setting_noise(seen: Observed) -> Fit:
    """Fit one free mean per combination of levels, with splits as blocks: rows of the same settings, such as centre points, are repeats."""
    return noise_within(np.unique(seen.coded.round(9), axis=0, return_inverse=True)[1].reshape(-1), seen.splits, seen.response)


def noise_within(groups: NDArray[np.int64], splits: NDArray[np.int64], response: Array) -> Fit:
    """Fit one free mean per group [trials], with splits as blocks; coefficients of groups come first, then splits but the last."""
    which = np.unique(groups, return_inverse=True)[1]
    return least_squares(np.column_stack([np.eye(which.max() + 1)[which], split_columns(splits)]), response)
