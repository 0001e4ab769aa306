"""What runs in a worker process: requests in over a pipe or from Ray, progress and records out.

`protocol` has the messages and is all that the parent imports; the other modules import torch. Imported by `execution`.
"""
