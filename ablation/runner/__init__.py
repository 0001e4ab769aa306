"""Plan -> finished runs: which runs are still to do, on how many workers, and what to do when one fails."""
