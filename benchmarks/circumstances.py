"""Where and when something was measured, in sentences."""

import datetime
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from server import PROJECT, Server


def machine_load() -> float:
    """Of the last minute; said if it is not that of an idle machine."""
    load = os.getloadavg()[0]
    if load > 1:
        print(f"the load of this machine is {load:.1f}: what runs beside makes the figures unreliable", flush=True)
    return load


def circumstances(load: float) -> str:
    """The beginning of a sentence about a run of this script; the load is that before it."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    script = f"benchmarks/{Path(sys.argv[0]).name}"
    return (
        f"Measured on {datetime.date.today()} by `{' '.join([script, *sys.argv[1:]])}`, commit {commit()}: "
        f"{os.cpu_count()} cores, {memory:.0f} GiB, load {load:.1f} before"
    )


def sentences(server: Server, load: float, rounds: str) -> str:
    """All that is to be said of runs against a server of our own."""
    postgres = server.ask("postgres", "SHOW server_version").split()[0]
    text = f"{circumstances(load)}, PostgreSQL {postgres} on the same machine. {rounds}; whole processes, all in turn."
    return textwrap.fill(text, 120, break_on_hyphens=False)


def commit() -> str:
    said = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True)
    return said.stdout.strip() or "unknown"
