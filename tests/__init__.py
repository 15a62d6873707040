"""Tests, one module per module tested, and whole runs in test_sweep.py and test_cli.py."""
