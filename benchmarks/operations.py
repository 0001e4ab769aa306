"""Which of torch's operations a bare training step spends its time in, and how near these are to the processor's limit.

No training loop can save that time.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import torch
from torch.profiler import ProfilerActivity, profile

from ablation.training import device
from ablation.training.models.counting import count_macs
from benchmarks.loop import CASES, PRECISIONS, Case, ready
from benchmarks.rows import Part, Row, row

CONVOLUTIONS = "convolutions"
KINDS = {
    CONVOLUTIONS: ("mkldnn_convolution", "convolution_backward"),
    "batch normalisation": ("native_batch_norm", "native_batch_norm_backward"),
    "pools": ("max_pool2d_with_indices", "max_pool2d_with_indices_backward"),
    "activations": ("clamp_min", "threshold_backward"),
    "linear layers": ("addmm", "mm"),
}
"""Kind -> operations, each without those that it calls."""
REST = "the rest"
ROUNDS = 5
NOTES = (
    "Shares of the time of the bare loop, by torch.profiler; each operation without those that it calls.",
    "*Rate of the convolutions*: six operations for each multiply-accumulate of the network's forward pass, for each"
    " image (two each for the forward pass, the gradient of the inputs and that of the weights), over their time.",
    "*Against a matrix product*: that rate over the rate of a product of two square matrices of 2,048 rows in the same"
    " precision and process, the densest arithmetic that torch has. Near 1 the processor is the limit: only fewer"
    " operations would be faster. Winograd's convolutions have fewer; oneDNN has them for GPUs and AArch64 alone"
    " (Intel's oneDNN developer guide, 2025.1, verbose message catalogue).",
)
SIDE, REPEATS = 2048, 3
"""Of the matrix product."""
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def shares(case: Case, precision: str) -> tuple[Counter[str], float]:
    """Seconds of the bare loop by kind of operation, and the giga-operations a second of its convolutions."""
    seconds: Counter[str] = Counter()
    kind_of = {f"aten::{name}": kind for kind, names in KINDS.items() for name in names}
    with ready(case, precision, 1) as (training, bare):
        bare()
        with profile(activities=[ProfilerActivity.CPU]) as watched:
            bare()
        operations = 6 * count_macs(training.model, case.image) * case.batch * case.steps
    for event in watched.key_averages():
        seconds[kind_of.get(event.key, REST)] += event.self_cpu_time_total / 1e6
    return seconds, operations / seconds[CONVOLUTIONS] / 1e9


def product_rate(precision: str, side: int) -> float:
    """Giga-operations a second of the product of two square matrices of `side` rows."""
    left, right = (torch.randn(side, side, dtype=TYPES[precision]) for _ in range(2))
    torch.mm(left, right)
    start = time.perf_counter()
    for _ in range(REPEATS):
        torch.mm(left, right)
    return REPEATS * 2 * side**3 / (time.perf_counter() - start) / 1e9


def measure(quick: bool) -> Part:
    """Every case in both precisions; `quick` shows only that it works."""
    device.set_up_process(1)
    rows: list[Row] = []
    for case in CASES:
        for precision in PRECISIONS:
            steps = replace(case, steps=2 if quick else case.steps)
            rounds = range(1 if quick else ROUNDS)
            found = [(*shares(steps, precision), product_rate(precision, 256 if quick else SIDE)) for _ in rounds]
            name = f"{case.name}, {precision}"
            for kind in (*KINDS, REST):
                rows.append(row(f"{name}: {kind}", [100 * own[kind] / own.total() for own, *_ in found], "%"))
            rows.append(row(f"{name}: rate of the convolutions", [rate for _, rate, _ in found], "GFLOP/s"))
            ratios = [rate / product for _, rate, product in found]
            rows.append(row(f"{name}: rate of the convolutions", ratios, "x", against="a matrix product"))
    return Part("What a bare step computes", NOTES, rows)
