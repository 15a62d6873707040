"""What the finished trials show: effects with their errors, and paired differences of heads."""
