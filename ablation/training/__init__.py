"""One run in; weights, predictions and a RunRecord out.

The built-in image classifier: networks, batches, augmentation, optimizers, the loop, checkpoints. All that depends on
hardware is in `device`. This package and `worker` are the only ones that import torch. Imported by `worker`.
"""
