"""Runs whole processes, and measures them."""

import os
import subprocess
import sys
import time
from pathlib import Path


def seconds(name: str, command: list[str], url: str, folder: Path) -> float:
    """From the start of the process to its end."""
    output = folder / "output"
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": url}
    with output.open("wb") as file:
        began = time.perf_counter()
        code = subprocess.call(command, cwd=folder, env=environment, stdout=file, stderr=file)
        took = time.perf_counter() - began
    if code != 0:
        sys.exit(f"✗ {name} ended with exit code {code}:\n{output.read_text()[-2000:]}")
    return took


def peak_memory(name: str, command: list[str], url: str, folder: Path) -> float:
    """In MiB. GNU time is small itself; a child of this interpreter would be charged for its memory."""
    report = folder / "memory"
    seconds(name, ["/usr/bin/time", "--format=%M", f"--output={report}", *command], url, folder)
    return int(report.read_text().split()[-1]) / 1024
