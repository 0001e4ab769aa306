"""The command `ablate`: arguments -> calls -> exit code. Heavy imports stand inside the command that needs them.

Exit codes: 0 all is well; 1 something that the user can mend; 2 some runs failed.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ablation import __version__
from ablation.errors import UserError
from ablation.plain import clean

if TYPE_CHECKING:
    from ablation.manifest import Manifest
    from ablation.results import Results
    from ablation.store import Store
    from ablation.study import Study

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

EPILOG = """\
A study file declares a baseline and single changes to it; see studies/smoke.yaml.

  ablate run studies/smoke.yaml     train every variant under every seed; run it again to go on
  ablate report                     write reports/<study>/report.html of the study run last
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = build_parser().parse_args(words)
    options.command_line = clean(shlex.join(["ablate", *words]))
    try:
        return int(options.call(options))
    except UserError as error:
        from ablation.console import print_error

        print_error(error)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        from ablation.console import print_error

        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print_error(UserError(what, "what is trained is kept; mend this and run the same command again"))
        return 1
    except KeyboardInterrupt:
        print("left at once; the same command goes on from the last whole epoch of each run", file=sys.stderr)
        return 1


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="ablate",
        description="Ablation studies of image classifiers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ablate {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_add_run, _add_plan, _add_validate, _add_status, _add_test, _add_report, _add_list, _add_schema):
        add(commands)
    return parser


def _add_run(commands: Commands) -> None:
    run = commands.add_parser("run", help="train what is still to be trained of a study")
    _study_arguments(run)
    _results_argument(run)
    run.add_argument("--only", action="append", default=[], metavar="VARIANT", help="train this one only (repeatable)")
    _worker_arguments(run)
    run.add_argument(
        "--hang-after",
        type=_minutes,
        default=30 * 60.0,
        metavar="MINUTES",
        help="replace a worker that reports no step for so long (default: 30), or never",
    )
    run.add_argument("--new-data", action="store_true", help="train on images that have changed since the study began")
    run.add_argument("--retry", choices=["failed"], help="try the runs again that have failed too often")
    cluster = run.add_argument_group("on a cluster")
    cluster.add_argument("--backend", choices=("local", "ray"), default="local", help="where to train (default: local)")
    cluster.add_argument(
        "--address", help="of a Ray cluster: auto, HOST:PORT, ray://HOST:PORT (default: one of this machine)"
    )
    run.set_defaults(call=_run)


def _add_plan(commands: Commands) -> None:
    plan = commands.add_parser("plan", help="show the runs of a study, their sizes, and what is done")
    _study_arguments(plan)
    _results_argument(plan)
    plan.add_argument("--probe", action="store_true", help="time a few steps of each variant, and estimate the whole")
    plan.add_argument("--device", default="auto", help="what to time it on: auto (default), cpu, cuda, cuda:0,2")
    plan.add_argument("--threads", type=_positive, default=1, help="threads of each worker on the CPU (default: 1)")
    plan.set_defaults(call=_plan)


def _add_validate(commands: Commands) -> None:
    validate = commands.add_parser("validate", help="check a study file and show every problem in it")
    _study_arguments(validate)
    validate.set_defaults(call=_validate)


def _add_status(commands: Commands) -> None:
    status = commands.add_parser("status", help="show how far a study is")
    _results_argument(status)
    _stored_study_argument(status)
    status.set_defaults(call=_status)


def _add_test(commands: Commands) -> None:
    test = commands.add_parser("test", help="evaluate the networks that validation chose on the test set, once")
    test.add_argument("study", metavar="STUDY", help="name or file of a study that was run")
    _results_argument(test)
    _worker_arguments(test)
    test.add_argument("--partial", action="store_true", help="evaluate the finished runs although others are not")
    test.add_argument("--again", action="store_true", help="evaluate them once more")
    test.set_defaults(call=_test)


def _add_report(commands: Commands) -> None:
    report = commands.add_parser("report", help="write the report of a study")
    _results_argument(report)
    _stored_study_argument(report)
    report.add_argument(
        "--out", type=Path, default=Path("reports"), metavar="DIR", help="where reports go (default: reports)"
    )
    elsewhere = report.add_argument_group("results from elsewhere")
    elsewhere.add_argument("--from", dest="table", type=Path, metavar="RUNS.csv", help="columns variant, seed, metrics")
    elsewhere.add_argument("--baseline", metavar="NAME", help="the variant that the others are compared with")
    elsewhere.add_argument("--epochs", type=Path, metavar="EPOCHS.csv", help="columns variant, seed, epoch, metrics")
    elsewhere.add_argument("--metric", metavar="COLUMN", help="the primary metric (default: the first one)")
    report.set_defaults(call=_report)


def _add_list(commands: Commands) -> None:
    listing = commands.add_parser("list", help="list what a study may name")
    listing.add_argument("what", nargs="?", help="models, data, optimizers, schedules or augmentations (default: all)")
    listing.set_defaults(call=_list)


def _add_schema(commands: Commands) -> None:
    schema = commands.add_parser("schema", help="print the JSON Schema of study files, for editors")
    schema.set_defaults(call=_schema)


def _stored_study_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", nargs="?", help="name or file of a study (default: the one run last)")


def _study_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", type=Path, metavar="STUDY.yaml", help="the study file")
    parser.add_argument("--smoke", action="store_true", help="cut every run to a tiny subset, under a name of its own")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change the baseline: model.dropout=0.5"
    )
    parser.add_argument("--seeds", type=_seeds, metavar="LIST", help="use these seeds: 0,1,2 or 0-4")


def _worker_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:0,2")
    parser.add_argument(
        "--per-device",
        type=_sharing,
        metavar="N",
        help="workers that share a device: a number, or auto (default): one a core, on a GPU as many as a probe finds",
    )
    parser.add_argument("--threads", type=_positive, default=1, help="threads of each worker on the CPU (default: 1)")


def _results_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="where runs are kept (default: results)"
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _sharing(text: str) -> int | None:
    return None if text == "auto" else _positive(text)


def _minutes(text: str) -> float:
    """Seconds."""
    minutes = float("inf") if text == "never" else float(text)
    if not minutes > 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return 60 * minutes


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.strip().isdigit() or (last and not last.strip().isdigit()):
            raise argparse.ArgumentTypeError(f"{text!r}: write 0,1,2 or 0-4")
        seeds.extend(range(int(first), int(last or first) + 1))
    return seeds


def _load(options: argparse.Namespace) -> Study:
    from ablation.load import load_study

    return load_study(options.study, overrides=options.set, seeds=options.seeds, smoke=options.smoke)


def _run(options: argparse.Namespace) -> int:
    from ablation.runner.command import run_study

    return run_study(_load(options), options)


def _plan(options: argparse.Namespace) -> int:
    from ablation.overview import print_plan
    from ablation.runner.study import plan_study
    from ablation.store import Store

    plan, store = plan_study(_load(options)), Store(options.results)
    print_plan(plan, store)
    if options.probe:
        from ablation.overview import print_estimate
        from ablation.runner.probing import estimate

        print_estimate(estimate(plan, store, options.device, options.threads, lambda _: None))
    return 0


def _validate(options: argparse.Namespace) -> int:
    study = _load(options)
    arms, seeds = len(study.variants), len(study.seeds)
    print(f"{clean(str(options.study))}: sound; {arms} variants x {seeds} seeds = {arms * seeds} runs")
    return 0


def _status(options: argparse.Namespace) -> int:
    from ablation.overview import print_status
    from ablation.store import Store

    store = Store(options.results)
    print_status(find_study(store, options.study), store)
    return 0


def _test(options: argparse.Namespace) -> int:
    from ablation.runner.testing import test_study
    from ablation.store import Store

    store = Store(options.results)
    return test_study(store, find_study(store, options.study), options)


def _report(options: argparse.Namespace) -> int:
    from ablation.report import report_on, write_report
    from ablation.store import Store

    store = Store(options.results)
    if options.table:
        results = _foreign_results(options)
        files = report_on(results, store, options.out / results.manifest.folder)
    else:
        manifest = find_study(store, options.study)
        files = write_report(store, manifest, options.out / manifest.folder)
    for path in (files.html, files.markdown):
        print(clean(str(path)))
    return 0


def _foreign_results(options: argparse.Namespace) -> Results:
    from ablation.tables import read_results

    if options.study:
        raise UserError("a report is of a study or of a table, not of both", "leave out the study, or --from")
    if not options.baseline:
        raise UserError("--from needs --baseline", "name the variant that the others are compared with")
    return read_results(options.table, options.baseline, epochs=options.epochs, metric=options.metric)


def find_study(store: Store, wanted: str | None) -> Manifest:
    """The manifest of the study that was asked for, by name or by its file; the one run last by default."""
    from ablation.console import print_notice
    from ablation.manifest import read_studies
    from ablation.plan import slug
    from ablation.registry import suggestion

    studies, faults = read_studies(store)
    name = wanted
    if name is not None and name.endswith((".yaml", ".yml")):
        from ablation.load import load_study

        name = load_study(Path(name)).name
    found = next((study for study in studies if name in (None, study.name, study.folder)), None)
    for path, fault in faults.items():
        if found is None and (name is None or path.parent.name in (name, slug(name))):
            raise fault
        print_notice(f"skipped: {fault.message}")
    if not studies:
        raise UserError(f"no study was run into {store.root}/", "start with: ablate run studies/smoke.yaml")
    if found is None:
        raise UserError(f"no study {name!r} in {store.root}/", suggestion(str(name), [study.name for study in studies]))
    return found


def _list(options: argparse.Namespace) -> int:
    from ablation.registry import CHOICES, suggestion

    if options.what is not None and options.what not in CHOICES:
        raise UserError(f"nothing is listed under {options.what!r}", suggestion(options.what, CHOICES))
    for heading, names in CHOICES.items():
        if options.what in (None, heading):
            print(heading)
            width = max(14, *map(len, names))
            for name, summary in names.items():
                print(f"  {name:<{width}} {summary}")
    return 0


def _schema(_options: argparse.Namespace) -> int:
    import json

    from ablation.study import StudyFile

    print(json.dumps(StudyFile.model_json_schema(), indent=2))
    return 0
