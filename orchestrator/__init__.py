"""Turns a study into trials, runs them, keeps the ledger, and says what they show.

Designs, plans, the sweep, tracking, analysis and reports; how a head is trained is in `model`.
"""
