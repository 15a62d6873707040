"""Measuring this machine for plans.

Owns the modules below it. Does not own rates, nor what is planned from them.
"""
