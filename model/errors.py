"""The errors of the project.

Those that a user can cause and fix:

UserError                    shown without a traceback; exit code 2
    DataError                the corpus cannot be found, read or split as the study wants
    SentenceEncoderError     the sentence encoder cannot be found, or is not the model it claims to be
    SettingsError            settings that are each valid but cannot go together
    LedgerError              the study directory cannot be used: of another study, unwritable, full, or damaged
        OwnedError           another driver owns it (orchestrator/ledger/claim.py)
    StudyError               problems of a study file, each with its line (orchestrator/study/file.py)
    DesignError              a design cannot be built from its factors (orchestrator/design/base.py)
        UnsuitableKindError  this kind of design does not suit the factors (orchestrator/design/base.py)
    RatesError               a file of machine rates cannot be used (orchestrator/planning/machine_rates.py)
    AugmentError             a study cannot be augmented as asked (orchestrator/commands/augment/known.py)
    CompareError             two studies cannot be compared (orchestrator/commands/compare/comparison.py)

Two more are raised and caught by us. StopRequest: training was asked to stop. DivergedError: a trial's loss is not finite.
Anything else that is raised is a bug and keeps its traceback.
"""

from __future__ import annotations

import errno
import sys

EXIT_USER_ERROR = 2
EXIT_OUT_OF_MEMORY = 12
"""errno.ENOMEM; of a rank that ends all others."""
EXIT_DISK_FULL = 28
"""errno.ENOSPC."""
EXIT_STOPPED = 76
"""Training stopped on request and saved what it had."""


class UserError(Exception):
    """Bad input, or a machine that cannot do what was asked; the message says what, where, why and what to do next."""


class DataError(UserError):
    """The corpus cannot be found, read or split as the study wants."""


class SentenceEncoderError(UserError):
    """The sentence encoder cannot be found, or is not the model it claims to be."""


class SettingsError(UserError):
    """Settings that are each valid but cannot go together, such as too few qubits for an embedding."""


class LedgerError(UserError):
    """The study directory cannot be used: it belongs to another study, is unwritable, full, or has a damaged file."""


class StopRequest(BaseException):
    """Training was asked to stop, and has saved its state; not an `Exception`, so that it is not recorded as a trial's failure."""


class DivergedError(Exception):
    """A trial's loss became infinite or not a number: a consequence of its settings, so it is recorded and not retried."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was refused; on the CPU torch raises a RuntimeError that only its message identifies."""
    if isinstance(error, RuntimeError) and any(words in str(error) for words in ("DefaultCPUAllocator", "std::bad_alloc")):
        return True
    torch = sys.modules.get("torch")  # where it is not loaded, none of its errors can be raised
    refused = (MemoryError, torch.OutOfMemoryError) if torch else MemoryError
    return isinstance(error, refused) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or the user's quota on it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
