"""The study that a name, or a study file, stands for among those in a results folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ablation._util.hashing import slug
from ablation.errors import UserError
from ablation.registry.catalog import suggestion
from ablation.storage.manifest import Manifest, read_studies
from ablation.storage.store import Store


def find_study(store: Store, wanted: str | None, notice: Callable[[str], None]) -> Manifest:
    """The manifest of the study with this name or study file; of the most recent one where None is given.

    `notice` is called for each study that cannot be read. Raises UserError where the study is not there, or is damaged.
    """
    studies, faults = read_studies(store)
    name = wanted
    if name is not None and name.endswith((".yaml", ".yml")):
        from ablation.study.load import load_study

        name = load_study(Path(name), need_data=False).name
    found = next((study for study in studies if name in (None, study.name, study.folder)), None)
    for path, fault in faults.items():
        if found is None and (name is None or path.parent.name in (name, slug(name))):
            raise fault
        notice(f"skipped: {fault.message}")
    if not studies:
        raise UserError(f"no study has been run in {store.root}/", "start with: ablate run STUDY.yaml")
    if found is None:
        names = [study.name for study in studies]
        smoke = f"{name}-smoke"
        hint = f"only its smoke run is here: {smoke}" if smoke in names else suggestion(str(name), names)
        raise UserError(f"no study {name!r} in {store.root}/", hint)
    return found
