"""Where and when something was measured."""

import datetime
import os
import subprocess
import sys

from server import PROJECT


def circumstances(script: str, load: float) -> str:
    """The beginning of a sentence about a run of a script; the load is that before it."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True
    ).stdout.strip()
    return (
        f"Measured on {datetime.date.today()} by `{' '.join([script, *sys.argv[1:]])}`, commit {commit or 'unknown'}: "
        f"{os.cpu_count()} cores, {memory:.0f} GiB, load {load:.1f} before"
    )
