"""Which of torch's operations a bare training step spends its time in: what no training loop can save."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from torch.profiler import ProfilerActivity, profile

from ablation.train import device
from ablation.train.models import count_macs
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
)


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


def measure(quick: bool) -> Part:
    """Every case in both precisions; `quick` shows only that it works."""
    device.set_up_process(1)
    rows: list[Row] = []
    for case in CASES:
        for precision in PRECISIONS:
            steps = replace(case, steps=2 if quick else case.steps)
            found = [shares(steps, precision) for _ in range(1 if quick else ROUNDS)]
            name = f"{case.name}, {precision}"
            for kind in (*KINDS, REST):
                rows.append(row(f"{name}: {kind}", [100 * own[kind] / own.total() for own, _ in found], "%"))
            rows.append(row(f"{name}: rate of the convolutions", [rate for _, rate in found], "GFLOP/s"))
    return Part("What a bare step computes", NOTES, rows)
