"""The errors a user can cause and mend, shared by every package.

Owns the exception types whose message is shown without a traceback and ends the program with exit code 2.
Does not own bugs: anything else that is raised keeps its traceback.
"""

from __future__ import annotations

import errno
import sys

EXIT_USER_ERROR = 2
EXIT_OUT_OF_MEMORY = 12  # errno.ENOMEM; by a rank that ends all others
EXIT_DISK_FULL = 28  # errno.ENOSPC
EXIT_STOPPED = 76
"""Training was told to stop and has saved what it had."""


class UserError(Exception):
    """Bad input or a machine that cannot do what was asked; the message says what, where, why and what to do next."""


class DataError(UserError):
    """The corpus cannot be found, read or split as asked."""


class SentenceEncoderError(UserError):
    """The sentence encoder cannot be found, or is not the model it claims to be."""


class SettingsError(UserError):
    """Settings that are each valid but cannot go together, such as too few qubits for an embedding."""


class LedgerError(UserError):
    """The study directory cannot be used: another study's, unwritable, full, or with a damaged file."""


class StopRequest(BaseException):
    """Training was told to stop, and what was in training is saved; no `Exception`, so that nobody records it as a trial's failure."""


class DivergedError(Exception):
    """A trial's loss became infinite or not a number: a result of its settings, so it is recorded and not tried again."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was refused: on the CPU torch says so by a RuntimeError, whose words are all there is to go by."""
    if isinstance(error, RuntimeError) and any(words in str(error) for words in ("DefaultCPUAllocator", "std::bad_alloc")):
        return True
    torch = sys.modules.get("torch")  # where it is not loaded, none of its errors can be raised
    refused = (MemoryError, torch.OutOfMemoryError) if torch else MemoryError
    return isinstance(error, refused) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or the user's quota on it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
