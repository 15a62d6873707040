"""Logging: where the lines of a study go, and how errors that a run survives are logged once each.

Modules take `logging.getLogger(__name__)`. A pack's process writes to its standard error, which is the pack's `log.txt`; the driver and the
workers of a node write to files in the study's `logs/` (`log_to`).
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PACKAGE = "hadamard"
FORMAT = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"
LARGEST_BYTES = 5 * 2**20
"""Of a log file; a larger one is put aside as `NAME.log.1`, in place of the one before."""

_told: set[tuple[str, str, str]] = set()


class SharedFileHandler(logging.handlers.WatchedFileHandler):
    """Appends to a file that several processes of a node share, and rotates it.

    Lines are written in one piece at the end of the file. Of two processes that find it too large at the same moment one may put aside the
    file that the other has just begun: some lines of a log are lost then, nothing else.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Let a line go that cannot be written, as on a full disk: what fails for that says so itself."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, and put the file aside when it has grown too large; the others then find a new one."""
        super().emit(record)
        with suppress(OSError):
            assert self.stream is not None
            held, named = os.fstat(self.stream.fileno()), os.stat(self.baseFilename)
            if held.st_size > LARGEST_BYTES and held.st_ino == named.st_ino:
                os.replace(self.baseFilename, f"{self.baseFilename}.1")


def log_to(file: Path) -> None:
    """Have this process's lines appended to a file; what the process has logged to before is left."""
    logger = logging.getLogger(PACKAGE)
    path = str(file.absolute())
    if any(isinstance(handler, SharedFileHandler) and handler.baseFilename == path for handler in logger.handlers):
        return
    for handler in [handler for handler in logger.handlers if isinstance(handler, SharedFileHandler)]:
        logger.removeHandler(handler)  # a worker of Ray may serve one study after another
        handler.close()
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = SharedFileHandler(path)
    handler.setFormatter(logging.Formatter(FORMAT))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def log_to_terminal() -> None:
    """Show this process's lines on the standard error, too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger(PACKAGE)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def warn_once(logger: logging.Logger, what: str, error: BaseException | str) -> None:
    """Log a warning unless this process has logged one of the same error about the same thing.

    Args:
        logger: Of the module that goes on all the same.
        what: What could not be done, and what follows from that.
        error: Why.
    """
    key = (logger.name, what, f"{type(error).__name__}: {error}")
    if key in _told:
        return
    _told.add(key)
    logger.warning("%s: %s", what, error if isinstance(error, str) else key[2], exc_info=None if isinstance(error, str) else error)


@contextmanager
def survived(logger: logging.Logger, what: str, *kinds: type[Exception]) -> Iterator[None]:
    """Go on after an exception of these kinds, any if none is named, and log it once.

    Args:
        logger: Of the module that goes on.
        what: What could not be done, and what follows from that, such as "joules are not recorded on this node".
        kinds: What is survived; anything else goes on up.
    """
    try:
        yield
    except Exception as error:
        if kinds and not isinstance(error, kinds):
            raise
        warn_once(logger, what, error)
