"""Imported by the fork server only: it loads what workers that use torch need, once."""

import traceback

failure = ""
"""The traceback, where torch cannot be imported; each worker reports it, since the server cannot."""
try:
    import ablation.worker.images  # noqa: F401
except BaseException:  # with too little memory for its libraries, anything may be raised here
    failure = traceback.format_exc()
