"""A study's directory: what is done, what is owed, and who may write to it."""
