"""The keys of stored runs last: no later version computes others for the same training."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ConfigDict

from ablation.planning.plan import code_sources, data_sources, make_plan, weights_sources
from ablation.registry.augmentations import Crop
from ablation.registry.optimizers import Sgd
from ablation.registry.options import Section
from ablation.study.custom_code import find
from ablation.study.lasting_keys import lasting
from ablation.study.load import load_study

GOLDEN = yaml.safe_load(Path(__file__).with_name("golden_keys.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("key", GOLDEN)
def test_the_key_of_a_recipe_is_the_one_that_the_first_versions_gave_it(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_models.py").write_text("# a model\n", encoding="utf-8")
    (tmp_path / "train").mkdir()
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"baseline": GOLDEN[key], "seeds": [3]}), encoding="utf-8")
    study = load_study(tmp_path / "study.yaml", need_data=False)
    prints = dict.fromkeys(data_sources(study), "fingerprint")
    weights = dict.fromkeys(weights_sources(study), "weights")
    (run,) = make_plan(study, prints, weights, {name: find(name, tmp_path) for name in code_sources(study)}).runs
    assert run.key == key


class LaterSgd(Sgd):
    dampening: float = 0.0


class LaterCrop(Crop):
    fill: int = 0


class AugmentedData(Section):
    model_config = ConfigDict(frozen=True)
    name: str = "digits"
    augment: tuple[Section, ...] = ()


@pytest.mark.parametrize(
    ("section", "now", "later", "added"),
    [
        ("optimizer", Sgd(name="sgd"), LaterSgd(name="sgd"), LaterSgd(name="sgd", dampening=0.5)),
        (
            "data",
            AugmentedData(augment=(Crop(),)),
            AugmentedData(augment=(LaterCrop(),)),
            AugmentedData(augment=(LaterCrop(fill=9),)),
        ),
    ],
)
def test_an_option_that_is_added_joins_the_key_only_where_it_differs_from_its_default(
    section: str, now: Section, later: Section, added: Section
) -> None:
    def keyed(part: Section) -> object:
        return lasting(section, part, part.model_dump(mode="json", serialize_as_any=True))

    assert keyed(later) == keyed(now)
    assert keyed(added) != keyed(now)


def test_a_component_that_comes_to_train_other_weights_has_another_key() -> None:
    changed = type("Changed", (Sgd,), {"version": 2})(name="sgd")
    before = Sgd(name="sgd").model_dump()
    assert lasting("optimizer", changed, before) == before | {"version": 2}
