"""A Plan minus its finished runs in; finished run folders out.

`study` decides which runs are still to do and what a failure means; `local` (worker processes) and `cluster` (Ray) are
the executors; `devices` and `scheduling` say where and in which order. Imports no torch. Imported by `cli`.
"""
