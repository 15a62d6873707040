"""The life of one MPI rank that trains a pack: join the other ranks, lead or follow, report the exit code.

What rank 0 trains is in model/train.py, what the others compute in model/simulators/sharded/rank_protocol.py, and the heartbeat that all
of them send in model/mpi/heartbeat.py.
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
"""Environment variable with a JSON list of the variables that each rank sets to see only its own GPUs, where srun shows it all."""


def run_rank(ranks: int, shards: int, lead: Callable[[Ranks, Callable[[], bool]], int]) -> int:
    """Run one of several ranks; return its exit code.

    SIGTERM ends a rank at once: launchers send it to the remaining ranks when one has died. A graceful stop is requested by a file.

    Args:
        ranks: The number of ranks.
        shards: How many of them share each state.
        lead: What rank 0 does, given all ranks and a function that returns whether a stop is requested; returns the exit code.
    """
    heartbeat = Heartbeat.here()
    heartbeat.start()
    if OWN_GPUS in os.environ:  # before any library looks for GPUs
        os.environ.update(json.loads(os.environ[OWN_GPUS])[heartbeat.number])
    try:
        joined = join(ranks, shards)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        report_exit(EXIT_USER_ERROR)
        return EXIT_USER_ERROR
    heartbeat.meet()
    try:
        code = _lead_or_follow(joined, lambda: lead(joined, heartbeat.should_stop))
    except BaseException as error:
        traceback.print_exc()
        sys.stderr.flush()
        joined.end_all(error)
    report_exit(code)
    return code


def _lead_or_follow(ranks: Ranks, lead: Callable[[], int]) -> int:
    from hadamard.model.simulators.sharded.rank_protocol import dismiss, follow

    if not ranks.leads:
        follow(ranks)
        return 0
    code = lead()
    dismiss(ranks)
    return code
