"""The MPI processes that train one pack, and their heartbeats."""
