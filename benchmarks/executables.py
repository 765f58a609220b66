"""The programs that are measured: where they are, and how ours is built."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from server import PROJECT

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))


def postgres_program(name: str) -> Path | None:
    """The program itself: what Debian has in PATH is a wrapper in Perl that adds 20 ms."""
    own = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = own[-1] if own else shutil.which(name)
    return Path(found) if found else None


def psql() -> Path:
    found = postgres_program("psql")
    if not found:
        sys.exit("✗ psql was not found: install Debian's package postgresql-client")
    return found


def require_time() -> None:
    if not os.access("/usr/bin/time", os.X_OK):
        sys.exit("✗ /usr/bin/time was not found: install Debian's package time")


def version(executable: Path) -> str:
    """The number in what a program says to --version."""
    said = subprocess.run([executable, "--version"], capture_output=True, check=True, text=True).stdout
    return next(word for word in said.split() if word[0].isdigit())


def build() -> Path:
    target = f"{platform.machine()}-unknown-linux-musl"
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "--package", "multicall", "--target", target],
        cwd=PROJECT,
        check=True,
    )
    return TARGET / target / "release" / "order-food-tools"


def called(executable: Path, name: str, folder: Path) -> Path:
    """Our executable under the name of one of its programs, whatever its own name."""
    link = Path(tempfile.mkdtemp(dir=folder)) / name
    link.symlink_to(executable.resolve())
    return link
