#!/usr/bin/env bash
# Site profile for Perlmutter (NERSC): AMD Milan nodes, with four A100 or without a GPU. What a profile may set: see generic.sh.
#
#     . slurm/sites/perlmutter.sh && hadamard fetch STUDY                                        # on a login node
#     hadamard submit STUDY --site perlmutter --account m1234_g --qos regular --time 2:00:00 \
#         --sbatch=--constraint=gpu --gpus-per-node 4 --cpus-per-node 128 --mem 0                # whole GPU nodes
#     hadamard submit STUDY --site perlmutter --account m1234 --qos regular --time 2:00:00 \
#         --sbatch=--constraint=cpu --cpus-per-node 256 --mem 0                                  # whole CPU nodes
#
# Written from NERSC's public documentation; not run there by us. From there are:
# - 64 cores, 256 GB and four A100 on a GPU node, 128 cores and 512 GB on a CPU node; login nodes have a GPU of their own, so that
#   `hadamard plan` there may plan with it;
# - jobs without --qos go into "debug", which is not for production;
# - $PSCRATCH, Lustre, seen by all compute nodes; what was not read for eight weeks is deleted, so keep finished studies elsewhere, too;
# - /global/common/software, made for installations and read-only on compute nodes: a good place for the .venv; then name it by
#   HADAMARD_BIN, and submit from a directory on $PSCRATCH. Homes are seen by all nodes, but not for jobs of any size.
# From other projects' guides: the constraints gpu and cpu, and GPU projects whose account ends in _g (Iris shows yours).
# Our assumptions, to be checked in a first job by `hadamard doctor`:
# - Slurm counts hardware threads there, two per core;
# - compute nodes have no disk, so /tmp is main memory. Ray's sockets and logs there are small; they count as memory of the job;
# - a GPU's energy counter can be read by its user, and what else the node takes in /sys/cray/pm_counters; RAPL usually cannot.

nounset=$(shopt -po nounset || true)          # the module command may use variables that are not set
set +u
module load python 2>/dev/null || true        # the one that made the .venv; torch brings its own CUDA
eval "$nounset"
unset nounset

export HADAMARD_BIN="${HADAMARD_BIN:-${SLURM_SUBMIT_DIR:-$PWD}/.venv/bin}"
export HADAMARD_CACHE="${HADAMARD_CACHE:-${PSCRATCH:-$HOME}/hadamard-cache}"
export HF_HOME="${HF_HOME:-${PSCRATCH:-$HOME}/huggingface}"
export HADAMARD_LOGIN_HOST="${HADAMARD_LOGIN_HOST:-perlmutter.nersc.gov}"
