"""Before anything runs: packs, their memory, seconds and price."""
