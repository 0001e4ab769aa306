"""Run folders and study folders on disk: written atomically, read with digests, types and ranges verified.

`stored_run.read_run` is the one reader of runs, `manifest` that of study.json, `test_set_log` that of the record of
evaluations on the test set. `sync` keeps two copies of a run folder equal.
"""
