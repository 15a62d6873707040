"""One rank's part in training a pack: it meets the others, then leads or follows, and leaves word of how it ends.

Owns the order of these, that each sees the GPUs it was given, and that one which fails ends all others. Does not own what is trained
(model/train.py), what followers compute (model/simulators/sharded/rank_protocol.py), nor signs of life (model/mpi/heartbeat.py).
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable

from hadamard.model.errors import EXIT_USER_ERROR, UserError
from hadamard.model.mpi.heartbeat import Heartbeat, report_exit
from hadamard.model.mpi.ranks import Ranks, join

OWN_GPUS = "HADAMARD_RANK_GPUS"
"""Variable that says, in JSON, what each rank's environment is to say of GPUs: srun shows all of a node's to each of its ranks there."""


def run_rank(ranks: int, shards: int, lead: Callable[[Ranks, Callable[[], bool]], int]) -> int:
    """Take part as one of several ranks, and return this one's exit code.

    SIGTERM ends a rank at once: launchers send it to those that are left when one has died. To stop in good order is told by a file.

    Args:
        ranks: How many there should be.
        shards: Of them share each state.
        lead: What rank 0 does; it is given all ranks and whether to stop, and returns the exit code.
    """
    pulse = Heartbeat.here()
    pulse.start()
    if OWN_GPUS in os.environ:
        os.environ.update(json.loads(os.environ[OWN_GPUS])[pulse.number])
    try:
        joined = join(ranks, shards)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        report_exit(EXIT_USER_ERROR)
        return EXIT_USER_ERROR
    pulse.meet()
    try:
        code = _play(joined, lambda: lead(joined, pulse.should_stop))
    except BaseException as error:
        traceback.print_exc()
        sys.stderr.flush()
        joined.end_all(error)
    report_exit(code)
    return code


def _play(ranks: Ranks, lead: Callable[[], int]) -> int:
    from hadamard.model.simulators.sharded.rank_protocol import dismiss, follow

    if not ranks.leads:
        follow(ranks)
        return 0
    code = lead()
    dismiss(ranks)
    return code
