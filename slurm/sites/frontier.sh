#!/usr/bin/env bash
# Site profile for Frontier (OLCF): AMD nodes, each with four MI250X, which Slurm and ROCm count as eight GPUs. What a profile may set: see
# generic.sh.
#
#     export HADAMARD_PROJECT=abc123          # your project; also where the caches go
#     . slurm/sites/frontier.sh && hadamard fetch STUDY                                          # on a login node
#     hadamard submit STUDY --site frontier --account abc123 --partition batch --time 2:00:00 --nodes 2 \
#         --cpus-per-node 56 --mem 0 --gpus-per-node 8 --sbatch=--constraint=nvme
#
# After `make install`, put torch for ROCm into the .venv, as pytorch.org says for the version of the rocm module: the ordinary wheel has no
# code for AMD's GPUs, and everything would run on the cores.
#
# Written from OLCF's public documentation; not run there by us. From there are:
# - 56 of 64 cores for jobs: one per L3 region is kept for the system (-S 8, which --sbatch=--core-spec=0 takes back);
# - the constraint nvme, with which each node's own disk is at /mnt/bb/$USER. Without it Ray's files go to /tmp;
# - /lustre/orion/PROJECT/scratch/$USER, seen by all nodes; deleted after 90 days. Homes are NFS, seen by all nodes, and slow: keep the
#   checkout, its .venv and --dir on Orion;
# - 512 GB on a node, 64 GB on each GPU; modules PrgEnv-gnu, rocm and craype-accel-amd-gfx90a;
# - compute nodes without internet. There is a proxy (proxy.ccs.ornl.gov:3128), which this profile does not set: jobs need none after
#   `hadamard fetch`, and Ray's own connections would try to go through it. For an MLflow server outside, sync from the login node;
# - `sbatch --export=NONE` as OLCF recommends would also drop what `hadamard submit` hands over; not needed here.
# Our assumptions, to be checked in a first job by `hadamard doctor`: that the dashboard's ssh line works through the login host, and that
# /sys/cray/pm_counters can be read by users: the node, and its accelerators all together.

nounset=$(shopt -po nounset || true)            # the module command may use variables that are not set
set +u
module load PrgEnv-gnu rocm craype-accel-amd-gfx90a 2>/dev/null || echo "frontier.sh: modules could not be loaded; GPUs may not work" >&2
eval "$nounset"
unset nounset

scratch=/lustre/orion/${HADAMARD_PROJECT:-${SLURM_JOB_ACCOUNT:-}}/scratch/${USER:-$(id -un)}
[ -d "$scratch" ] || scratch=$HOME                # no project named: homes are shared, too
export HADAMARD_BIN="${HADAMARD_BIN:-${SLURM_SUBMIT_DIR:-$PWD}/.venv/bin}"
export HADAMARD_CACHE="${HADAMARD_CACHE:-$scratch/hadamard-cache}"
export HF_HOME="${HF_HOME:-$scratch/huggingface}"
if [ -n "${SLURM_JOB_ID:-}" ] && [ -z "${HADAMARD_SCRATCH:-}" ]; then    # on the login node it would be another one
    HADAMARD_SCRATCH=/tmp
    [ ! -w "/mnt/bb/${USER:-$(id -un)}" ] || HADAMARD_SCRATCH=/mnt/bb/${USER:-$(id -un)}
fi
export HADAMARD_SCRATCH="${HADAMARD_SCRATCH:-}"
export HADAMARD_LOGIN_HOST="${HADAMARD_LOGIN_HOST:-frontier.olcf.ornl.gov}"
export MIOPEN_USER_DB_PATH="${HADAMARD_SCRATCH:-/tmp}/miopen" MIOPEN_CUSTOM_CACHE_DIR="${HADAMARD_SCRATCH:-/tmp}/miopen"   # their default is on NFS
unset scratch
