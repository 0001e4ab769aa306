"""A Plan minus its finished runs in; finished run folders out.

`run` trains a study and `test_set` evaluates it, both with the frozen `options`; `study` decides what a failure means;
`local` (worker processes) and `cluster` (Ray) are the executors; `devices` and `scheduling` say where and in which
order. What happens is reported to a `progress.Progress`. Imports no torch, argparse or rich. Imported by `library` and
`cli`.
"""
