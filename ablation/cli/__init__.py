"""The command `ablate`: arguments in, terminal output and an exit code out.

One module a command: it declares its arguments and makes frozen options of them; `main` dispatches. `console` shows
live progress and errors, `tables` what `plan` and `status` print. The only package that knows argparse and rich.
Nothing imports it.
"""
