"""What Ray is asked for: a cluster to connect to or to start, its resources, and actors. The only user of ray."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from pathlib import Path
from typing import Any

from ablation.errors import UserError
from ablation.execution.server import safe_start, short_folder
from ablation.worker.entry import Remote

CONNECT_SECONDS = 5.0
"""In which a cluster must answer at its address."""

CLIENT_ATTEMPTS = 3
"""To connect through Ray's client."""

LONGEST_FOLDER = 35
"""Bytes of the folder below which Ray can still make its Unix sockets."""

_INSTALL = "pip install 'ablation-lab[ray]'"


def connect(address: str | None, cpus: int) -> Any:
    """The module `ray`, connected to the cluster at `address`, or to one of this machine alone with `cpus` processors.

    Raises UserError where ray is not installed or no cluster answers.
    """
    if address is None:  # before ray is imported: without it Ray would listen on this machine's outer address
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError:
        raise UserError("--backend ray needs Ray, which is not installed", _INSTALL) from None
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        own: dict[str, Any] = {
            "_node_ip_address": "127.0.0.1",
            "_temp_dir": f"{short_folder(LONGEST_FOLDER)}/ray",
            "include_dashboard": False,
        }
        with safe_start(), _workers_without_this_folder():
            ray.init("local", num_cpus=cpus, **own, **quiet)
        return ray
    _check_reachable(address)
    try:
        with _workers_without_this_folder():
            _init(ray, address, quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        text = str(error).strip()
        text = text.splitlines()[-1] if "Traceback" in text else text  # a server's traceback ends with its error
        what = " ".join(text.split())[:300]
        raise UserError(f"--address {address}: {what}", "start one: `ray start --head`, see docs/cluster.md") from None
    except ImportError:
        raise UserError(f"--address {address} needs Ray's client, which is not installed", _INSTALL) from None
    return ray


def _init(ray: Any, address: str, options: dict[str, Any]) -> None:
    """`ray.init`, repeated where the client's server did not start on the cluster.

    The head forks that server from a process with gRPC threads, and now and then the child crashes before it runs any
    code. The next attempt gets a new one.
    """
    for left in reversed(range(CLIENT_ATTEMPTS)):
        try:
            ray.init(address, **options)
        except ConnectionAbortedError:
            if not left:
                raise
        else:
            return


def _workers_without_this_folder() -> contextlib.chdir[Path]:
    """Ray puts the working folder of the command first on the path of its workers: let it be the standard library's."""
    return contextlib.chdir(Path(os.__file__).parent)


def _check_reachable(address: str) -> None:
    """Raise UserError where nothing listens at `HOST:PORT`; Ray itself would retry for minutes."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        hint = "is the cluster up (`ray status`), and is that its address? See docs/cluster.md"
        raise UserError(f"--address {address}: no Ray cluster answers there ({error})", hint) from None


def count_slots(ray: Any, wanted: dict[str, float]) -> int:
    """How many actors that need `wanted` the nodes alive have room for if nothing else runs."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(min(int(own.get(name, 0.0) / amount + 1e-9) for name, amount in wanted.items()) for own in nodes)


def start_actor(ray: Any, wanted: dict[str, float], threads: int, folder: str | None) -> Any:
    """A handle of a new actor, which starts as soon as a node has what is `wanted`; `folder` is its working folder."""
    remote = ray.remote(Remote).options(
        num_cpus=wanted["CPU"], num_gpus=wanted.get("GPU", 0), scheduling_strategy="SPREAD"
    )
    return remote.remote(threads, folder)
