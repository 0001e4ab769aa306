"""A sweep of mushin: `python with_mushin.py --values 0.1,0.2 --seeds 0,1 --work 0.5`."""

import argparse

import mushin
from burn import burn
from mushin import multirun


@mushin.sweep
def task(value, seed, work):
    return {"score": burn(value, seed, work)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--values", required=True)
    parser.add_argument("--seeds", required=True)
    parser.add_argument("--work", type=float, required=True)
    parser.add_argument("--launcher")
    given = parser.parse_args()
    values, seeds = ([float(each) for each in given.values.split(",")], [int(each) for each in given.seeds.split(",")])
    found = task.run(
        value=multirun(values),
        seed=multirun(seeds),
        work=given.work,
        working_dir="sweep",
        launcher=given.launcher,
        resume=True,
    )
    assert found.score.size == len(values) * len(seeds)
