#!/usr/bin/env bash
# The site profile for any cluster: copy it, edit it, and choose the copy by HADAMARD_SITE=NAME or `hadamard submit --site NAME`.
#
# slurm/sweep.sbatch sources this file on a compute node, before anything else, under `set -euo pipefail`. Source it in your login shell,
# too, before `hadamard fetch`, so that both use the same caches:   . slurm/sites/generic.sh
# It may set (exported, what is already set is kept):
#   HADAMARD_BIN          directory of `hadamard` and `python`          default: .venv/bin where the job was submitted
#   HADAMARD_SCRATCH      a disk of the node's own, for Ray's sockets and logs; its path must be short      default: $SLURM_TMPDIR, else /tmp
#   HADAMARD_CACHE        embeddings, on a file system that all nodes share      default: ~/.cache/hadamard
#   HF_HOME               what was fetched from the Hugging Face hub, likewise   default: ~/.cache/huggingface
#   HADAMARD_LOGIN_HOST   the host by which compute nodes are reached from outside, for the dashboard's ssh line      default: none
# It may load modules and export what GPUs or proxies need. A proxy must not apply to the nodes themselves: Ray's connections would go
# there, so name them in no_proxy.
#
# Checked: on a Slurm cluster of three nodes with shared directories, where this file's defaults are all it takes.

# module load python/3.11                      # as on your site; whichever made the .venv
# export HADAMARD_BIN=$HOME/hadamard/.venv/bin
# export HADAMARD_LOGIN_HOST=login.example.org
# export HADAMARD_CACHE=/shared/$USER/hadamard HF_HOME=/shared/$USER/huggingface

export HADAMARD_BIN="${HADAMARD_BIN:-${SLURM_SUBMIT_DIR:-$PWD}/.venv/bin}"
