"""The plain training under Hydra: `python with_hydra.py --multirun dropout=0.0,0.5 seed=0,1`."""

import hydra
from hydra.core.hydra_config import HydraConfig
from options import timed
from student import train


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(options):
    timed(train, options, HydraConfig.get().runtime.output_dir)


if __name__ == "__main__":
    main()
