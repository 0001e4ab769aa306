"""A Ray cluster of two nodes on 127.0.0.1, one worker each, that lives until its standard input is closed.

It prints a line of JSON: its address, and the process of each node's raylet. An argument is a port for Ray's client.
"""

from __future__ import annotations

import json
import os
import sys

# Without this Ray replaces 127.0.0.1 by the machine's outer address, and listens there.
os.environ.update(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_USAGE_STATS_ENABLED="0")

from ray.cluster_utils import Cluster

SIZE = {"num_cpus": 1, "object_store_memory": 100_000_000}


def main() -> None:
    client = {"ray_client_server_port": int(sys.argv[1])} if sys.argv[1:] else {}
    cluster = Cluster(initialize_head=True, head_node_args={**SIZE, **client, "include_dashboard": False})
    nodes = [cluster.head_node, cluster.add_node(**SIZE)]
    raylets = [process.process.pid for node in nodes for process in node.all_processes["raylet"]]
    print(json.dumps({"address": cluster.address, "raylets": raylets}), flush=True)
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
