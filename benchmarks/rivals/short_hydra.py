"""Hydra's multirun over a short function: `python short_hydra.py --multirun value=0.1,0.2 seed=0,1 work=0.5`."""

import json
from pathlib import Path

import hydra
from burn import burn
from hydra.core.hydra_config import HydraConfig


@hydra.main(version_base="1.3", config_path="conf", config_name="short")
def main(options):
    score = burn(options.value, options.seed, options.work)
    (Path(HydraConfig.get().runtime.output_dir) / "score.json").write_text(json.dumps(score))


if __name__ == "__main__":
    main()
