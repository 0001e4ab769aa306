"""Files of other tools in; metrics and logged runs out.

`metric_files` reads what training code writes for itself: JSON lines, `trainer_state.json`, Lightning's `metrics.csv`,
TensorBoard event files, printed lines. `stores` has a reader for each experiment tracker: a path -> `LoggedRun`s.
`matching` makes variants and seeds of logged runs, and finds what else differs between them. All of it is read with the
standard library, NumPy-free; none of the tools has to be installed.
"""
