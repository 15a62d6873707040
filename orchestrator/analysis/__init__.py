"""What the trials showed: effects with their errors, and paired differences of heads.

Owns the statistics. Does not own how they are put into words, tables or pictures.
"""
