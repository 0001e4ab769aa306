"""Files of other tools in; metrics of a run, or tables of runs, out.

- `metric_files` reads what training code writes for itself: JSON lines, `trainer_state.json`, Lightning's
  `metrics.csv`, TensorBoard event files (`event_files`, on the wire format of `wire`), printed lines.
- `stores` names a reader for each experiment tracker: its files -> `logged.LoggedRuns`.
- `matching` makes variants and seeds of these, and finds what else differs between runs that are compared.
- `imported` writes them as the tables that `results.tables` reads.

None of the tools has to be installed, and nothing heavier than YAML is loaded. Imported by `library`, by the command
`import`, and by what reads the metrics of a command that a worker ran.
"""
