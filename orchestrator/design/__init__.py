"""Designs of experiments: factors, the kinds of design, their rows, what is confounded with what, and what they can show.

Owns everything that is known before a trial runs. Does not own the trials, nor the analysis of what they gave.
"""
