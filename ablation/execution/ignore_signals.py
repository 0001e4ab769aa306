"""Imported by the fork server only: it does not heed signals to the group.

A terminal that hangs up, or a batch system that ends a job, signals every process of the group. The workers inherit
that they do not heed it: they finish their epoch when the command says so, and leave when it is gone.
"""

import signal

for _name in ("SIGINT", "SIGTERM", "SIGHUP"):
    if hasattr(signal, _name):
        signal.signal(getattr(signal, _name), signal.SIG_IGN)
