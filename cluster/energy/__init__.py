"""Joules: a node's counters, their record over time, and whose they were.

Owns the modules below it. Does not own trials: that joules go to them is orchestrator/energy/attribution.py's.
"""
