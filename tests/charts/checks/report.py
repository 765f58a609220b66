"""How the checks speak to people: one line for what holds, and for what does not: what, where and how to mend it."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Something that does not hold; `detail` may have many lines, such as a difference."""

    where: str
    what: str
    mend: str
    detail: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a group of checks looked at, in words, and what it found."""

    looked_at: str
    problems: list[Problem]


def run_group(title: str, check: Callable[[], Outcome]) -> bool:
    """Runs one group and prints its result; True if all holds."""
    began = time.monotonic()
    outcome = check()
    took = time.monotonic() - began
    if not outcome.problems:
        print(f"✓ {title}: {outcome.looked_at} ({took:.1f} s)", flush=True)
        return True
    print(f"✗ {title}: {len(outcome.problems)} found in {outcome.looked_at} ({took:.1f} s)")
    for problem, places in _gathered(outcome.problems).items():
        _print_problem(problem, places)
    return False


def _gathered(problems: Iterable[Problem]) -> dict[Problem, list[str]]:
    """The same defect shows in many cases; it is told once, with all places."""
    gathered: dict[Problem, list[str]] = {}
    for problem in problems:
        places = gathered.setdefault(Problem("", problem.what, problem.mend, problem.detail), [])
        if problem.where not in places:
            places.append(problem.where)
    return gathered


def _print_problem(problem: Problem, places: list[str]) -> None:
    print(f"  ✗ {problem.what}")
    shown = "; ".join(places[:4]) + (f"; and {len(places) - 4} more" if len(places) > 4 else "")
    print(f"    where: {shown}")
    if problem.detail:
        print(textwrap.indent(problem.detail.rstrip("\n"), "      "))
    print(f"    mend:  {problem.mend}", flush=True)
