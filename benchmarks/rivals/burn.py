"""What a short run does: it keeps a core busy for so many seconds of the processor, and returns a number."""

import time


def burn(value, seed, work):
    end = time.process_time() + work
    while time.process_time() < end:
        pass
    return value + seed / 100
