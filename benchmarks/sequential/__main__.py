"""`python -m benchmarks.sequential [REPLICATES [PROCESSES]]`: simulate sequential studies, and print the tables."""

import sys

from benchmarks.sequential.tables import print_tables

print_tables(*map(int, sys.argv[1:3]))
