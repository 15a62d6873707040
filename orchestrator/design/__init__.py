"""Designs of experiments: factors, kinds of design, their rows, aliases and power, all known before a trial runs.

Kinds are in `kinds/`, listed by `registry.py`. Trials are in `orchestrator/study/`, the analysis of responses in `orchestrator/analysis/`.
"""
