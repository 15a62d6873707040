"""Planning before anything runs: packs, ranks, memory and seconds; the cost estimate of a run, and what runs teach later plans."""
