"""What the machine or allocation gives, how a pack is launched there, and what energy it takes.

Owns resources, launch commands and meters. Knows nothing of studies or designs.
"""
