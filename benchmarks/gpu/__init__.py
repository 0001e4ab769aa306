"""The checks of a machine with a GPU: the same bits, recovery, determinism, memory, speed. `make gpu` runs them."""
