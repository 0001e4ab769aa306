"""Training code of the user's own: a function or a command trains a run, and what it reports becomes the run's record.

Comes in: a planned run and its folder. Goes out: rows of metrics, and a record. Nothing here imports torch. Imported by
`worker`, and by `training` for the hooks that every trainer has.
"""
