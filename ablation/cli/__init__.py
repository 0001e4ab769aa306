"""The command `ablate`: arguments in, terminal output and an exit code out.

`main` parses and dispatches; `run` and `doctor` are commands with more to them; `console` shows live progress
and errors, `overview` the tables of `plan` and `status`. The only package that knows argparse. Nothing
imports it.
"""
