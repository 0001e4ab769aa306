"""How libraries of linear algebra are told how many threads they may use."""

THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Environment variables by which libraries are told how many threads they may use; they read them when they load."""
