"""TensorBoard and MLflow, beside the results: rows of runs are copied there while they are trained.

In: the events that execution reports, and the epochs stored in `results/`, which stay the only source of truth. Out:
event files or MLflow runs, written by the libraries themselves (extras of the package). Each target is a module with
one class that satisfies `base.Logger`; a thread for each writes to it, so neither trainers nor workers know of them.
Imported by `execution.run` only.
"""
