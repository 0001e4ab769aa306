"""Where Python looks for modules: never in the working folder, nor beside the script that was started.

Nothing is imported here but what Python has loaded before it runs any program: another import might already be answered
by a file of the working folder.
"""

import os
import sys


def clean(path: list[str]) -> list[str]:
    """The folders of `path` without the working folder, that of the script, and relative ones.

    Python puts them before the standard library, so that a `random.py` there would be imported by every program.
    Folders that PYTHONPATH names in full stay: they are the user's word. The folder of this package comes last where it
    was one of those that go (an uninstalled checkout), behind everything that it could replace.
    """
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    unwanted = {_real(folder) for folder in (os.curdir, _script_folder())}
    library = os.path.dirname(os.__file__)
    before = path.index(library) if library in path else len(path)
    kept = [
        folder
        for index, folder in enumerate(path)
        if os.path.isabs(folder) and (index >= before or folder in named or _real(folder) not in unwanted)
    ]
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = {_real(folder) for folder in kept}
    return kept if _real(home) in found or not os.path.isdir(home) else [*kept, home]


def environment() -> dict[str, str]:
    """What a Python process of ours needs in its environment to start with a path that `clean` would leave as it is."""
    folders = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(folder)]
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(folders)}


def secure() -> None:
    """Clean the path of this process, which is a command of ours from its start.

    Where relative folders of PYTHONPATH, or an option that makes Python ignore the environment, would reach other
    processes, the command is started again without them.
    """
    ignores = sys.flags.ignore_environment and not sys.flags.safe_path
    wanted = environment()["PYTHONPATH"]
    if os.name == "posix" and (ignores or os.environ.get("PYTHONPATH", "") != wanted):
        options = ["-P"] if ignores else []
        os.environ["ABLATE_PYTHONPATH"] = os.environ.get("PYTHONPATH", "")  # for commands that train runs
        os.environ["PYTHONPATH"] = wanted
        os.execv(sys.executable, [sys.executable, *options, *sys.orig_argv[1:]])
    sys.path[:] = clean(sys.path)


def _script_folder() -> str:
    """The folder that Python put first on the path for the script that it was started with."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.dirname(file) if file else os.curdir


def _real(folder: str) -> str:
    try:
        return os.path.realpath(folder or os.curdir)
    except OSError:  # the working folder was removed
        return folder
