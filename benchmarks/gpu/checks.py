"""The checks, each from the side of a user where that is possible: what is typed, and what comes out."""

from __future__ import annotations

import importlib.util
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablation.storage.store import RunFolder
from benchmarks.gpu.bench import ROOT, Bench, Outcome, last_lines, not_checked, passed, records, require, require_same
from benchmarks.gpu.texts import used, write_custom, write_study, write_task
from benchmarks.sides import ours
from benchmarks.sides import script as student
from benchmarks.work import LENET, RESNET, noise, shortened

NEEDS_GPU = "needs a GPU"
FAMILIES = ("alexnet", "vgg11", "resnet18", "densenet121", "mobilenet_v3_small", "efficientnet_b0", "mnasnet0_5",
            "regnet_y_400mf", "shufflenet_v2_x0_5", "convnext_tiny", "swin_t", "swin_v2_t", "vit_b_16",
            "maxvit_t")  # fmt: skip
OWN = ("lenet5", "vgg11", "resnet9", "resnet18")
GPU_RESNET = replace(RESNET, data=noise(6000, 1000), epochs=5, batch_size=128)
MOST_ERROR = {"fp32": 1e-5, "tf32": 2e-3, "bf16": 2e-2, "fp16": 3e-3}
"""Relative, of a convolution; TF32 has about 3e-4."""


def machine(bench: Bench) -> Outcome:
    """Versions, GPUs, capabilities."""
    result = bench.ablate(bench.place("machine"), "doctor", "--json")
    require(result.returncode == 0, last_lines(result))
    found = {each["name"]: each["value"] for each in json.loads(result.stdout)["findings"]}
    names = ("NVIDIA driver", "PyTorch", *bench.gpus)
    return passed("; ".join(f"{name} {found[name]}" for name in names if name in found))


def sharing(bench: Bench) -> Outcome:
    """One worker and four on one GPU: the same weights."""
    found = []
    for workers in (1, 4):
        place = bench.place(f"sharing {workers}")
        write_study(place, {}, seeds=2 if bench.dry else 4, vary={"model.dropout": [0.0]})
        found.append(bench.train(place, "--device", bench.gpus[0], "--per-device", str(workers)))
    require_same(found[0], found[1], "1 and 4 workers")
    return passed(f"{len(found[0])} runs have the same SHA-256")


def resuming(bench: Bench) -> Outcome:
    """Killed and resumed, with SGD, AdamW, and two stages with clipping: the same weights, and the same speed."""
    epochs = 12 if bench.dry else 40
    stages = [{"epochs": epochs // 2}, {"epochs": epochs // 2, "freeze": "features"}]
    more: dict[str, Any] = {
        "vary": {"optimizer": [{"name": "adamw", "lr": 0.001}]},
        "combine": {"stages+clipping": {"train.stages": stages, "train.clip_norm": 1.0}},
    }
    options = ("--device", bench.gpus[0], "--per-device", "3")
    found, speeds = [], []
    for name in ("undisturbed", "killed"):
        place = bench.place(name)
        write_study(place, {"train": {"epochs": epochs, "batch_size": 64}}, **more)
        if name == "killed":
            bench.kill(place, 3, *options)
        found.append(bench.train(place, *options))
        rows = [row for path in place.glob("results/runs/*") for row in RunFolder(path).epochs()[-epochs // 4 :]]
        speeds.append(statistics.median(row.images_per_second for row in rows))
    resumed = [record.resumed for record in found[1].values()]
    require(min(resumed) > 0, f"not all runs were interrupted: {resumed}")
    require_same(found[0], found[1], "undisturbed and killed")
    return passed(f"3 runs have the same SHA-256; speed after resuming x{speeds[1] / speeds[0]:.2f}")


def models(bench: Bench) -> Outcome:
    """Every kind of model trains with deterministic kernels only."""
    place = bench.place("models")
    names = ("lenet5", "vgg11") if bench.dry else (*OWN, *(f"torchvision:{family}" for family in FAMILIES))
    first, *others = names
    data = {"name": "synthetic", "shape": [3, 32, 32], "samples": 60, "validation": 0.2}
    vary = {"model": [{"name": name} for name in others]}
    write_study(place, {"data": data, "model": {"name": first}, "train": {"epochs": 1, "batch_size": 16}}, vary=vary)
    found = bench.train(place, "--device", bench.gpus[0], "--per-device", "1")
    return passed(f"{len(found)} models")


def synchronisation(bench: Bench) -> Outcome:
    """No step waits for the GPU."""
    found = bench.inside("synchronisation", bench.gpus[0])
    return passed(f"{found['steps']} steps") if found["cuda"] else not_checked(NEEDS_GPU)


def one_gpu_each(bench: Bench) -> Outcome:
    """Two GPUs: each worker computes on one of them only."""
    if len(bench.gpus) < 2:
        return not_checked("needs two GPUs")
    place = bench.place("two GPUs")
    write_custom(place, "pass", seeds=4)
    bench.train(place, "--device", ",".join([bench.gpus[0], bench.gpus[1].partition(":")[2]]), "--per-device", "1")
    found = used(place)
    require(all(len(gpus) == 1 for gpus in found.values()), f"a worker computed on several GPUs: {found}")
    require(len(found) > 1, "one worker trained everything")
    gpus = set.union(*found.values())
    if bench.dry:
        return not_checked(NEEDS_GPU)
    require(len(gpus) == 2, f"one GPU trained everything: {gpus}")
    return passed(f"{len(found)} workers, one UUID each")


def visible(bench: Bench) -> Outcome:
    """CUDA_VISIBLE_DEVICES with the UUID of a GPU, or of a MIG slice: it is the only device, and trains."""
    if bench.dry or not shutil.which("nvidia-smi"):
        return not_checked(NEEDS_GPU if bench.dry else "no nvidia-smi here")
    shown = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    uuids = [line.rpartition("UUID: ")[2].rstrip(") ") for line in shown.splitlines() if "UUID: " in line]
    slices = [uuid for uuid in uuids if uuid.startswith("MIG-")]
    for number, uuid in enumerate([slices[0] if slices else uuids[-1]]):
        place = bench.place(f"visible {number}")
        write_study(place, {})
        bench.train(place, "--device", "cuda", "--per-device", "1", CUDA_VISIBLE_DEVICES=uuid)
    return passed("a MIG slice" if slices else "a GPU by its UUID; no MIG slice here")


def memory(bench: Bench) -> Outcome:
    """Too large a tensor, and a GPU that is 95 % full: the run is tried again, and the worker goes on."""
    _out_of_memory(bench, "too large", "torch.empty(2**60, dtype=torch.uint8, device=x.device)")
    if bench.dry:
        return not_checked(f"too large a tensor: passed; a full GPU {NEEDS_GPU}")
    tenth = "torch.cuda.get_device_properties(x.device).total_memory // 10"
    with _full(bench):
        _out_of_memory(bench, "full", f"torch.empty({tenth}, dtype=torch.uint8, device=x.device)")
    return passed("both were tried again by the same worker, and finished")


def _out_of_memory(bench: Bench, name: str, allocate: str) -> None:
    place = bench.place(name)
    write_custom(place, f"if once(): {allocate}", seeds=2)
    result = bench.ablate(place, "run", "study.yaml", "--device", bench.gpus[0], "--per-device", "1")
    require(result.returncode == 0 and len(records(place)) == 2, last_lines(result))
    require("memory" in result.stdout, f"no run was out of memory: {last_lines(result)}")
    require(len(used(place)) == 1, f"{len(used(place))} workers: the first one did not go on")


@contextmanager
def _full(bench: Bench) -> Iterator[None]:
    """A GPU of which another process has taken 95 % of the memory."""
    command = [sys.executable, "-m", "benchmarks.gpu.inside", "hold", bench.gpus[0]]
    with subprocess.Popen(
        command, cwd=ROOT, env=bench.environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        require(process.stdout.readline() == "full\n", "the memory could not be taken")
        yield
        process.communicate()


def broken(bench: Bench) -> Outcome:
    """A custom model that indexes out of range: its run fails, the next ones succeed."""
    place = bench.place("broken")
    index = "torch.zeros(3, device=x.device)[torch.full((1,), 7, device=x.device)]"
    write_custom(place, f"if once(): print({index})", seeds=3)
    result = bench.ablate(place, "run", "study.yaml", "--device", bench.gpus[0], "--per-device", "1")
    require(result.returncode == 2 and "2 runs trained, 1 failed" in result.stdout, last_lines(result))
    require(bench.dry or len(used(place)) > 1, "the worker whose CUDA context is broken was not replaced")
    return passed(f"1 run failed, 2 succeeded, in {len(used(place))} workers")


def compiling(bench: Bench) -> Outcome:
    """Both modes of train.compile, with dropout, twice: the same weights."""
    found = []
    modes = ["default", "reduce-overhead"]
    uncompiled = {"TORCHDYNAMO_DISABLE": "1"} if bench.dry else {}  # compiling for the CPU takes minutes
    for number in (1,) if bench.dry else (1, 2):
        place = bench.place(f"compiled {number}")
        train = {"epochs": 2, "batch_size": 64, "compile": modes[0]}
        write_study(place, {"train": train}, seeds=1 if bench.dry else 2, vary={"train.compile": modes[1:]})
        found.append(bench.train(place, "--device", bench.gpus[0], "--per-device", "1", **uncompiled))
    require_same(found[0], found[-1], "the first and the second time")
    seen = f"{', '.join(modes)}: {len(found[0])} runs, {len(found)} times, with the same SHA-256"
    return not_checked(f"{len(found[0])} runs without the compiler; {NEEDS_GPU}") if bench.dry else passed(seen)


def numbers(bench: Bench) -> Outcome:
    """Kernel launches of a step of ResNet-9; the error of a convolution against float64 in each precision."""
    found = bench.inside("numbers", bench.gpus[0])
    for precision, error in found["errors"].items():
        most = MOST_ERROR[precision]
        require(error < most, f"{precision}: relative error {error:.1e}, not below {most:.0e}")
    errors = "relative error " + ", ".join(
        f"{error:.1e} in {precision}" for precision, error in found["errors"].items()
    )
    if not found["cuda"]:
        return not_checked(f"{errors} on the CPU; launches: {NEEDS_GPU}")
    return passed(f"{found['launches']:.0f} launches a step; {errors}")


def speed(bench: Bench) -> Outcome:
    """1, 2, 4, 8 workers on a GPU, and as many as `auto` finds, without MPS and with it; Ray with two on a GPU."""
    counts = ("auto",) if bench.dry else ("1", "2", "4", "8", "auto")
    times = [f"without MPS: {_time(bench, 'plain', counts)}"]
    if control := shutil.which("nvidia-cuda-mps-control"):
        with _mps(bench, control) as pipe:
            times.append(f"with MPS: {_time(bench, 'MPS', counts, **pipe)}")
    else:
        times.append("no nvidia-cuda-mps-control here")
    if importlib.util.find_spec("ray"):
        times.append(f"Ray, two workers a GPU: {_ray(bench):.0f} s")
    else:
        times.append("Ray is not installed")
    return not_checked(f"{NEEDS_GPU} ({'; '.join(times)})") if bench.dry else passed("; ".join(times))


def _speed_study(place: Path, dry: bool) -> None:
    train = {"epochs": 1 if dry else 5, "batch_size": 64}
    data = {"name": "synthetic", "samples": 600 if dry else 6000, "validation": 0.2}
    write_study(place, {"data": data, "train": train}, seeds=2 if dry else 8, vary={"model.dropout": [0.0]})


def _time(bench: Bench, name: str, counts: tuple[str, ...], **extra: str) -> str:
    """Seconds of a study by the number of workers on the first GPU. Raises FailedError where weights differ."""
    times, found = [], []
    for count in counts:
        place = bench.place(f"speed {name} {count}")
        _speed_study(place, bench.dry)
        start = time.monotonic()
        found.append(bench.train(place, "--device", bench.gpus[0], "--per-device", count, **extra))
        times.append(f"{count} {time.monotonic() - start:.0f} s")
        require_same(found[0], found[-1], f"{counts[0]} and {count} workers, {name}")
    return ", ".join(times)


@contextmanager
def _mps(bench: Bench, control: str) -> Iterator[dict[str, str]]:
    """An MPS daemon of its own: the environment of its clients."""
    place = bench.place("mps")
    pipe = {"CUDA_MPS_PIPE_DIRECTORY": str(place / "pipe"), "CUDA_MPS_LOG_DIRECTORY": str(place / "log")}
    subprocess.run([control, "-d"], env=bench.environ(pipe), check=True, capture_output=True, stdin=subprocess.DEVNULL)
    try:
        yield pipe
    finally:
        subprocess.run([control], input="quit\n", text=True, env=bench.environ(pipe), check=True, capture_output=True)


def _ray(bench: Bench) -> float:
    place = bench.place("ray")
    _speed_study(place, bench.dry)
    start = time.monotonic()
    bench.train(place, "--backend", "ray", "--device", "cpu" if bench.dry else "cuda", "--per-device", "2")
    return time.monotonic() - start


def recording(bench: Bench) -> Outcome:
    """Steps that are recorded as a CUDA graph and those that are launched kernel by kernel: the same weights."""
    result = bench.inside("recording", bench.gpus[0])
    found = result["found"]
    differ = [name for name, each in found.items() if not each["same"]]
    require(not differ, f"other weights: {', '.join(differ)}; {found}")
    if not result["cuda"]:
        return not_checked(f"{len(found)} recipes on the CPU, which records nothing; {NEEDS_GPU}")
    times = [f"{name} {each['launched']:.2f} -> {each['recorded']:.2f}" for name, each in found.items()]
    return passed(f"the same SHA-256; ms a step at batch 64: {', '.join(times)}")


def streaming(bench: Bench) -> Outcome:
    """Images that stay on the host and are copied block by block: the same weights as where the GPU holds them."""
    found = []
    for name, free in (("resident", {}), ("streamed", {"ABLATION_FREE_BYTES": "1000"})):
        place = bench.place(name)
        data = {"name": "synthetic", "samples": 600 if bench.dry else 6000, "validation": 0.2, "augment": ["crop"]}
        write_study(place, {"data": data}, seeds=2)
        found.append(bench.train(place, "--device", bench.gpus[0], "--per-device", "2", **free))
    streamed = [{record.environment.streamed for record in runs.values()} for runs in found]
    require(streamed == [{False}, {True}], f"where the images were: {streamed}")
    require_same(found[0], found[1], "on the GPU and on the host")
    return passed(f"{len(found[0])} runs have the same SHA-256")


def own_code(bench: Bench) -> Outcome:
    """A function and a command that train with PyTorch: each on the GPU of its worker, a killed function resumes."""
    seen = []
    for kind in ("function",) if bench.dry else ("function", "command"):
        place = bench.place(kind)
        write_task(place, kind, seeds=4)
        options = ("--device", bench.gpus[0], "--per-device", "2")
        if kind == "function":
            bench.kill(place, 2, *options)
        found = bench.train(place, *options)
        require(len(found) == 8, f"{kind}: {len(found)} of 8 runs")
        resumed = [record.resumed for record in found.values()]
        require(kind == "command" or max(resumed) > 0, "no run of the function was resumed")
        gpus = {int(record.metrics["gpus"]) for record in found.values()}
        require(bench.dry or gpus == {1}, f"{kind}: visible GPUs: {gpus}")
        losses = [record.metrics["val_loss"] for record in found.values()]
        require(max(losses) < 1, f"{kind}: validation losses {losses}")
        seen.append(f"{len(found)} runs of a {kind}")
    return not_checked(f"{', '.join(seen)} on the CPU; {NEEDS_GPU}") if bench.dry else passed(", ".join(seen))


def script(bench: Bench) -> Outcome:
    """Whole studies against a plain PyTorch script with 0 and 4 loader workers, started once a run on the same GPU."""
    works = [shortened(LENET)] if bench.dry else [replace(LENET, dropouts=(0.0, 0.3)), GPU_RESNET]
    gpu = "cpu" if bench.dry else bench.gpus[0]
    told = []
    for work in works:
        images = work.prepare(bench.place(f"images {work.model}"))
        sides = {"`ablate run`": ours("fp32", "--device", gpu)}
        for workers in (0,) if bench.dry else (0, 4):
            rival = student(Path(sys.executable), "student.py", images, workers=workers, device=gpu)
            sides[f"script with {workers} loader workers"] = rival
        spent = {name: side(work, bench.place(f"{work.model}, {name}")) for name, side in sides.items()}
        require(len({each.trained for each in spent.values()}) == 1, f"they did not train the same: {spent}")
        least = spent["`ablate run`"].whole
        times = [f"{name} {each.whole:.1f} s ({each.whole / least:.1f} x)" for name, each in spent.items()]
        told.append(f"{work.label}: {', '.join(times)}")
    return not_checked(f"{NEEDS_GPU} ({'; '.join(told)})") if bench.dry else passed("; ".join(told))


CHECKS: dict[str, Callable[[Bench], Outcome]] = {
    "machine": machine,
    "sharing": sharing,
    "resuming": resuming,
    "models": models,
    "synchronisation": synchronisation,
    "one GPU each": one_gpu_each,
    "visible": visible,
    "memory": memory,
    "broken": broken,
    "compiling": compiling,
    "numbers": numbers,
    "recording": recording,
    "streaming": streaming,
    "own code": own_code,
    "speed": speed,
    "script": script,
}
