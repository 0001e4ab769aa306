"""Ablation studies of any training code: one study file, paired seeds, verdicts that the data support.

The library behind the command `ablate`. Nothing is loaded before it is used::

    import ablation

    study = ablation.load_study("studies/smoke.yaml")
    results = ablation.run_study(study)
    ablation.write_report(results)
"""

from ablation.versions import __version__ as __version__

TYPE_CHECKING = False  # not that of typing: before `safe_path` has run, a typing.py of the working folder would be it
if TYPE_CHECKING:
    from ablation.errors import UserError as UserError
    from ablation.library import analyze as analyze
    from ablation.library import evaluate_test_set as evaluate_test_set
    from ablation.library import judge_study as judge_study
    from ablation.library import load_results as load_results
    from ablation.library import load_study as load_study
    from ablation.library import read_results as read_results
    from ablation.library import run_study as run_study
    from ablation.library import write_report as write_report
    from ablation.registry.decorators import augmentation as augmentation
    from ablation.registry.decorators import optimizer as optimizer
    from ablation.registry.decorators import schedule as schedule
    from ablation.registry.metrics import metric as metric
    from ablation.registry.schedules import Schedule as Schedule
    from ablation.report.context import section as section
    from ablation.tasks.function import Run as Run

_MODULES = {
    "UserError": "errors",
    "Run": "tasks.function",
    "Schedule": "registry.schedules",
    "metric": "registry.metrics",
    "section": "report.context",
    **dict.fromkeys(("augmentation", "optimizer", "schedule"), "registry.decorators"),
}
_FUNCTIONS = (
    "analyze",
    "evaluate_test_set",
    "judge_study",
    "load_results",
    "load_study",
    "read_results",
    "run_study",
    "write_report",
)
_MODULES |= dict.fromkeys(_FUNCTIONS, "library")

__all__ = [*sorted(_MODULES), "__version__"]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'ablation' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"ablation.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
