"""What /proc tells of processes: which are below another, and what their sockets listen on and are connected to."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

LISTENING, ESTABLISHED = "0A", "01"
LOOPBACK = ("7F", "00000000000000000000000001000000")


def descendants(pid: int) -> set[int]:
    """A process and all that were started below it and still are."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found: set[int] = set()
    more = {pid}
    while more:
        found |= more
        more = {child for child, parent in parents.items() if parent in more} - found
    return found


def sockets(pids: set[int]) -> list[tuple[int, str, str, str]]:
    """(process, state, local address, remote address) of every TCP socket, as /proc/net writes them."""
    owners: dict[str, int] = {}
    for pid in pids:
        with suppress(OSError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    owners[str(entry.readlink())] = pid
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return [(owners[f"socket:[{row[9]}]"], row[3], row[1], row[2]) for row in rows if f"socket:[{row[9]}]" in owners]


def is_loopback(address: str) -> bool:
    """Whether an address of /proc/net is one of 127.*: IPv4 in reversed bytes, plain or as the end of IPv6, or ::1."""
    host = address.partition(":")[0]
    return host[-2:] == LOOPBACK[0] or host == LOOPBACK[1]


def exposed(pids: set[int]) -> list[tuple[int, str, str, str]]:
    """The sockets that listen on, or are connected to, anything but this machine itself."""
    return [
        found
        for found in sockets(pids)
        if (found[1] == LISTENING and not is_loopback(found[2]))
        or (found[1] == ESTABLISHED and not (is_loopback(found[2]) and is_loopback(found[3])))
    ]
