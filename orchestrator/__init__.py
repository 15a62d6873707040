"""Turns a study into trials, runs them, keeps the ledger, and says what they show.

Owns designs, plans, the sweep, tracking, analysis and reports. Does not own how a head is trained.
"""
