"""The command `ablate`: arguments -> calls -> exit code. Heavy imports are inside the command that needs them.

Exit codes: 0 success; 1 an error that the user can fix, such as a wrong argument, or an interrupted command; 2 some
runs failed.
"""

from __future__ import annotations

import argparse
import codecs
import io
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ablation._util.sanitize import clean
from ablation.cli.arguments import Parser, minutes, positive, seeds, workers
from ablation.errors import UserError
from ablation.versions import __version__

if TYPE_CHECKING:
    from ablation.results.runs import Results
    from ablation.storage.manifest import Manifest
    from ablation.storage.store import Store
    from ablation.study.schema import Study

    Commands = argparse._SubParsersAction[Parser]

EPILOG = """\
A study file declares a baseline and single changes to it.

  ablate run STUDY.yaml     train every variant with every seed; run it again to resume
  ablate report             write reports/<study>/report.html for the most recent study
"""
_ASCII = str.maketrans("\u00b7\u2013\u2014\u2212\u2192\u00d7\u2026\u2501\u2578\u257a", "---->x.---")
"""What is printed for typographic characters where the terminal has ASCII only."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _print_anything()
    try:
        options = parse(words)
        options.command_line = clean(shlex.join(["ablate", *words]))
        return int(options.call(options))
    except UserError as error:
        from ablation.cli.console import print_error

        print_error(error)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        from ablation.cli.console import print_error

        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print_error(UserError(what, "finished work is kept; fix this and run the same command again"))
        return 1
    except KeyboardInterrupt:
        print("stopped immediately; the same command resumes each run from its last complete epoch", file=sys.stderr)
        return 1


def _print_anything() -> None:
    """Let no character that the terminal's encoding lacks end a command that may have trained for days."""
    codecs.register_error("ablation", _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ablation")


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_ASCII)
    return text.encode("ascii", "replace").decode("ascii"), error.end


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options of a command line. Raises UserError where it is wrong."""
    from ablation.registry.catalog import suggestion

    options, unknown = build_parser().parse_known_args(words)
    if unknown:
        known = [name for name in options.parser._option_string_actions if name.startswith("--")]
        word = unknown[0].partition("=")[0]
        if word.startswith("-"):
            raise UserError(f"{options.parser.prog} has no option {word}", suggestion(word, known))
        hint = f"quote a name that has spaces; see {options.parser.prog} --help"
        raise UserError(f"{options.parser.prog}: unexpected argument {unknown[0]!r}", hint)
    return options


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = Parser(
        prog="ablate",
        description="Ablation studies of image classifiers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ablate {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        _add_run,
        _add_plan,
        _add_validate,
        _add_status,
        _add_test,
        _add_report,
        _add_list,
        _add_schema,
        _add_doctor,
    ):
        add(commands)
    for command in commands.choices.values():
        command.set_defaults(parser=command)
    return parser


def _add_run(commands: Commands) -> None:
    run = commands.add_parser("run", help="train the runs of a study that are not finished yet")
    _study_arguments(run)
    _results_argument(run)
    run.add_argument("--only", action="append", default=[], metavar="VARIANT", help="train only this one (repeatable)")
    _worker_arguments(run)
    run.add_argument(
        "--new-data", action="store_true", help="train on images that have changed since the study started"
    )
    run.add_argument("--retry", choices=["failed"], help="retry the runs that have failed too often")
    cluster = run.add_argument_group("on a cluster")
    cluster.add_argument("--backend", choices=("local", "ray"), default="local", help="where to train (default: local)")
    cluster.add_argument(
        "--address",
        help="address of a Ray cluster: auto, HOST:PORT, ray://HOST:PORT (default: start Ray on this machine)",
    )
    run.set_defaults(call=_run)


def _add_plan(commands: Commands) -> None:
    plan = commands.add_parser("plan", help="show the runs of a study, model sizes, and what is finished")
    _study_arguments(plan)
    _results_argument(plan)
    plan.add_argument("--probe", action="store_true", help="time a few steps of each variant and estimate the total")
    plan.add_argument("--device", default="auto", help="device to time on: auto (default), cpu, cuda, cuda:0,2")
    plan.add_argument("--threads", type=positive, default=1, help="CPU threads per worker (default: 1)")
    _hang_argument(plan)
    plan.set_defaults(call=_plan)


def _add_validate(commands: Commands) -> None:
    validate = commands.add_parser("validate", help="check a study file and show every error in it")
    _study_arguments(validate)
    validate.set_defaults(call=_validate)


def _add_status(commands: Commands) -> None:
    status = commands.add_parser("status", help="show the progress of a study")
    _results_argument(status)
    _stored_study_argument(status)
    status.set_defaults(call=_status)


def _add_test(commands: Commands) -> None:
    test = commands.add_parser("test", help="evaluate the selected checkpoints on the test set, once")
    test.add_argument("study", metavar="STUDY", help="name or file of a study that was run")
    _results_argument(test)
    _worker_arguments(test)
    test.add_argument("--partial", action="store_true", help="evaluate even if some runs are not finished")
    test.add_argument("--again", action="store_true", help="evaluate even if the test set was used before")
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
    elsewhere.add_argument(
        "--direction", choices=["higher", "lower"], help="which way is better (default: by its name)"
    )
    elsewhere.add_argument(
        "--unit",
        choices=["percent", "share", "raw"],
        help="values from 0 to 100, fractions of 1, or neither (default: by its name and values)",
    )
    elsewhere.add_argument("--title", metavar="TEXT", help="of the report, and of its folder (default: RUNS)")
    report.set_defaults(call=_report)


def _add_list(commands: Commands) -> None:
    listing = commands.add_parser("list", help="list models, data sets, optimizers, schedules and augmentations")
    listing.add_argument(
        "what", nargs="?", help="models, torchvision, data, optimizers, schedules or augmentations (default: all)"
    )
    listing.set_defaults(call=_list)


def _add_schema(commands: Commands) -> None:
    schema = commands.add_parser("schema", help="print the JSON Schema of study files, for editors")
    schema.set_defaults(call=_schema)


def _add_doctor(commands: Commands) -> None:
    doctor = commands.add_parser("doctor", help="check whether this machine has what training needs")
    _results_argument(doctor)
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.set_defaults(call=_doctor)


def _stored_study_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", nargs="?", help="name or file of a study (default: the most recent one)")


def _study_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", type=Path, metavar="STUDY.yaml", help="the study file")
    parser.add_argument(
        "--smoke", action="store_true", help="try it on a tiny subset of the data, as a separate study NAME-smoke"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override the baseline: model.dropout=0.5"
    )
    parser.add_argument("--seeds", type=seeds, metavar="LIST", help="use these seeds: 0,1,2 or 0-4")


def _worker_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:0,2")
    parser.add_argument(
        "--per-device",
        type=workers,
        metavar="N",
        help="workers per device, or auto (default): one per CPU core; per GPU as many as a short probe finds useful",
    )
    parser.add_argument("--threads", type=positive, default=1, help="CPU threads per worker (default: 1)")
    _hang_argument(parser)


def _hang_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--hang-after",
        type=minutes,
        default=30 * 60.0,
        metavar="MINUTES",
        help="end a worker that reports no progress for this long (default: 30), or never",
    )


def _results_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="where runs are stored (default: results)"
    )


def _load(options: argparse.Namespace, *, need_data: bool = True) -> Study:
    from ablation.study.load import load_study

    return load_study(
        options.study, overrides=options.set, seeds=options.seeds, smoke=options.smoke, need_data=need_data
    )


def _run(options: argparse.Namespace) -> int:
    from ablation.cli.run import run_study

    return run_study(_load(options), options)


def _plan(options: argparse.Namespace) -> int:
    from ablation.cli.overview import print_plan, print_preparation
    from ablation.execution.study import plan_study
    from ablation.storage.store import Store

    study, store = _load(options, need_data=options.probe), Store(options.results)
    plan = None if study.missing else plan_study(study)
    print_plan(study, plan, store)
    if plan:
        print_preparation(plan, store)
    if options.probe and plan:
        from ablation.cli.overview import print_estimate
        from ablation.execution.probing import estimate

        print_estimate(estimate(plan, store, options.device, options.threads, lambda _: None, options.hang_after))
    return 0


def _validate(options: argparse.Namespace) -> int:
    from ablation._util.formatting import plural
    from ablation.cli.console import study_size

    study = _load(options, need_data=False)
    variants, seeds = len(study.variants), len(study.seeds)
    size = f"{study_size(variants, seeds)} = {plural(variants * seeds, 'run')}"
    print(f"{clean(str(options.study))}: valid; {size}{' (smoke run)' if study.smoke else ''}")
    for what in study.missing:
        print(clean(f"but its data are not here: {what}"))
    return 0


def _status(options: argparse.Namespace) -> int:
    from ablation.cli.overview import print_status
    from ablation.storage.store import Store

    store = Store(options.results)
    print_status(_stored_study(store, options), store)
    return 0


def _test(options: argparse.Namespace) -> int:
    from ablation.cli.test import test_study
    from ablation.storage.store import Store

    store = Store(options.results)
    return test_study(store, find_study(store, options.study), options)


def _report(options: argparse.Namespace) -> int:
    from ablation.report import report_on, write_report
    from ablation.report.source import TableSource
    from ablation.storage.store import Store

    store = Store(options.results)
    if options.table:
        results = _foreign_results(options)
        source = TableSource(options.table, options.epochs)
        files = report_on(results, store, options.out / results.manifest.folder, source)
    else:
        _refuse_table_options(options)
        manifest = _stored_study(store, options)
        files = write_report(store, manifest, options.out / manifest.folder)
    for path in (files.html, files.markdown):
        print(clean(str(path)))
    return 0


def _foreign_results(options: argparse.Namespace) -> Results:
    from ablation.results.tables import read_results

    if options.study:
        raise UserError("a report is on a study or on a table, not on both", "leave out the study, or --from")
    if not options.baseline:
        raise UserError("--from needs --baseline", "name the variant that the others are compared with")
    return read_results(
        options.table,
        options.baseline,
        epochs=options.epochs,
        metric=options.metric,
        direction=options.direction,
        unit=options.unit,
        title=options.title or "",
        command=options.command_line,
    )


def _refuse_table_options(options: argparse.Namespace) -> None:
    for name in ("baseline", "epochs", "metric", "direction", "unit", "title"):
        if getattr(options, name) is not None:
            raise UserError(f"--{name} is for a table", "add --from RUNS.csv; a study says this in its own file")


def _stored_study(store: Store, options: argparse.Namespace) -> Manifest:
    """The study that the command line names; where it names none, the most recent one, and stderr says which."""
    manifest = find_study(store, options.study)
    if options.study is None:
        smoke = " (smoke run: its numbers are meaningless)" if manifest.smoke else ""
        print(clean(f"most recent study: {manifest.name}{smoke}"), file=sys.stderr)
    return manifest


def find_study(store: Store, wanted: str | None) -> Manifest:
    """The manifest of the study with this name or study file; of the most recent one where none is given."""
    from ablation._util.hashing import slug
    from ablation.cli.console import print_notice
    from ablation.registry.catalog import suggestion
    from ablation.storage.manifest import read_studies

    studies, faults = read_studies(store)
    name = wanted
    if name is not None and name.endswith((".yaml", ".yml")):
        from ablation.study.load import load_study

        name = load_study(Path(name), need_data=False).name
    found = next((study for study in studies if name in (None, study.name, study.folder)), None)
    for path, fault in faults.items():
        if found is None and (name is None or path.parent.name in (name, slug(name))):
            raise fault
        print_notice(f"skipped: {fault.message}")
    if not studies:
        raise UserError(f"no study has been run in {store.root}/", "start with: ablate run STUDY.yaml")
    if found is None:
        names = [study.name for study in studies]
        smoke = f"{name}-smoke"
        hint = f"only its smoke run is here: {smoke}" if smoke in names else suggestion(str(name), names)
        raise UserError(f"no study {name!r} in {store.root}/", hint)
    return found


def _list(options: argparse.Namespace) -> int:
    from ablation.registry.catalog import choices, suggestion

    known = choices()
    if options.what is not None and options.what not in known:
        raise UserError(f"nothing is listed under {options.what!r}", suggestion(options.what, known))
    for heading, names in known.items():
        if options.what in (None, heading):
            print(heading)
            width = max(14, *map(len, names))
            for name, summary in names.items():
                print(f"  {name:<{width}} {summary}")
    return 0


def _schema(_options: argparse.Namespace) -> int:
    import json

    from ablation.study.schema import StudyFile

    print(json.dumps(StudyFile.model_json_schema(), indent=2))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from ablation.cli.doctor import examine, print_findings, print_json

    findings = examine(options.results)
    (print_json if options.json else print_findings)(findings)
    return int(any(finding.status == "problem" for finding in findings))
