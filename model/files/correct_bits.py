"""Which test sentences a trial classified right, as text in its result: a bit per sentence, in the order of its split's test side."""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt

CorrectBits = npt.NDArray[np.bool_]


def to_text(bits: CorrectBits) -> str:
    """Return bits [sentences] as their number and, in base64, eight of them to a byte."""
    return f"{len(bits)}:{base64.b64encode(np.packbits(bits).tobytes()).decode()}"


def from_text(text: str) -> CorrectBits:
    """Return the bits [sentences] that `to_text` has written.

    Raises:
        ValueError: The text is of another form.
    """
    count, _, packed = text.partition(":")
    bits = np.frombuffer(base64.b64decode(packed, validate=True), np.uint8)
    if not 0 <= 8 * len(bits) - int(count) < 8:
        raise ValueError(f"{8 * len(bits)} bits are not {count} bits")
    return np.unpackbits(bits, count=int(count)).astype(np.bool_)
