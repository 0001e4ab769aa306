"""A bare pool of processes, as one would write it by hand: nothing is kept but the results."""

import argparse
import itertools
import json
import multiprocessing

from burn import burn

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--values", required=True)
    parser.add_argument("--seeds", required=True)
    parser.add_argument("--work", type=float, required=True)
    parser.add_argument("--workers", type=int, required=True)
    given = parser.parse_args()
    values, seeds = ([float(each) for each in given.values.split(",")], [int(each) for each in given.seeds.split(",")])
    with multiprocessing.Pool(given.workers) as pool:
        scores = pool.starmap(burn, itertools.product(values, seeds, [given.work]), chunksize=1)
    with open("scores.json", "w") as file:
        json.dump(scores, file)
