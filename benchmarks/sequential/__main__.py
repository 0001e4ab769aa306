"""`python -m benchmarks.sequential [REPLICATES [PROCESSES [TABLE...]]]`: simulate sequential studies.

Prints the tables nulls, effects and bias, or those that are named. The defaults take hours on two cores.
"""

import sys

from benchmarks.sequential.tables import PROCESSES, REPLICATES, TABLES

given = sys.argv[1:3]
replicates, processes = (int(own) for own in (*given, *(REPLICATES, PROCESSES)[len(given) :]))
for name in sys.argv[3:] or TABLES:
    TABLES[name](replicates, processes)
