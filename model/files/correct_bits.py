"""Which sentences a trial classified right, as a word of text in its result: what McNemar's test needs of two trials.

Owns the form, a bit for each sentence. Does not own which sentences these are: they are the test side of the trial's split, in its order.
"""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt

Marks = npt.NDArray[np.bool_]


def to_text(marks: Marks) -> str:
    """Return marks [sentences] as their number and, in base64, eight of them to a byte."""
    return f"{len(marks)}:{base64.b64encode(np.packbits(marks).tobytes()).decode()}"


def from_text(text: str) -> Marks:
    """Return the marks [sentences] that `to_text` has written.

    Raises:
        ValueError: The text is of another form.
    """
    count, _, packed = text.partition(":")
    bits = np.frombuffer(base64.b64decode(packed, validate=True), np.uint8)
    if not 0 <= 8 * len(bits) - int(count) < 8:
        raise ValueError(f"{8 * len(bits)} bits are not {count} marks")
    return np.unpackbits(bits, count=int(count)).astype(np.bool_)
