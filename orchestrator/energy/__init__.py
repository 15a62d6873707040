"""Joules: of packs and trials from their nodes' recordings, and totals of a study."""
