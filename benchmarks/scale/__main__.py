"""`python -m benchmarks.scale [SHARE]`: measure the command line at scale, and print it."""

import sys

from benchmarks.scale.measure import measure

for row in measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
    goal = f"  (goal: at most {row.goal:g})" if row.goal is not None else ""
    print(f"{row.name:<72} {row.value:8.2f} {row.unit:<3}  {row.low:.2f} to {row.high:.2f}{goal}")
