#!/usr/bin/env bash
# Runs on every node of a job, started by sweep.sbatch through srun:  node.sh JOB_DIR [CLUSTER_JSON] [--no-dashboard]
# All the work is in slurm/node.py. This file is here to say which node and why when not even Python starts.
set -uo pipefail
job_dir=$1
host=${SLURMD_NODENAME:-$(hostname -s)}
log=$job_dir/nodes/$host.log

trap : TERM   # Slurm ends a step by TERM to all its processes: Python tidies up, this shell waits for it
"$HADAMARD_BIN/python" -m hadamard.slurm.node "$@" >"$log" 2>&1
status=$?
if [ "$status" -ne 0 ] && [ ! -e "$job_dir/nodes/$host.failed" ]; then
    printf '%s: %s ended with exit code %s: %s\n' "$host" "$HADAMARD_BIN/python -m hadamard.slurm.node" "$status" \
        "$(tail -n 2 "$log" | tr '\n' ' ')" >"$job_dir/nodes/$host.failed"
fi
exit "$status"
