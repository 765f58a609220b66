"""Draws how figures grow as a chart in SVG, with logarithmic axes and legible on light and dark pages."""

import math
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 600, 64, 384
# How far the names beside the lines' ends are apart, at least.
LABEL_HEIGHT = 17
# Of middle lightness, so that each is told from white as from black.
COLOURS = ["#8b949e", "#2f81f7", "#d9730d", "#2da44e", "#a371f7", "#db4f8f", "#b08800", "#1a9ba8"]
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 16px; font-weight: 600; }
  .grid { stroke: #d0d7de; stroke-width: 1; }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
  .emphasized { stroke-width: 4; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .grid { stroke: #3d444d; }
  }
"""


@dataclass(frozen=True)
class Series:
    """A line: its name, and the height of each point by its place."""

    name: str
    points: dict[int, float]


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis between two values, drawn between two places."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + share * (self.end - self.start), 1)


def draw(title: str, across: str, upward: str, lines: list[Series], emphasized: str) -> str:
    places = sorted(lines[0].points)
    heights = [height for line in lines for height in line.points.values()]
    ticks = steps(min(heights), max(heights))
    horizontal = Axis(places[0], places[-1], LEFT, RIGHT)
    vertical = Axis(ticks[0], ticks[-1], BOTTOM, TOP)
    parts = [text(LEFT, 24, title, "start", "title"), text(LEFT, 46, upward)]
    for tick in ticks:
        height = vertical.place(tick)
        parts += [rule(LEFT, height, RIGHT, height), text(LEFT - 8, height + 4, f"{tick:g}", "end")]
    for place in places:
        position = horizontal.place(place)
        parts += [rule(position, TOP, position, BOTTOM), text(position, BOTTOM + 20, f"{place:,}", "middle")]
    parts.append(text((LEFT + RIGHT) / 2, BOTTOM + 42, across, "middle"))
    labels = spread([vertical.place(line.points[places[-1]]) for line in lines])
    for line, colour, label in zip(lines, COLOURS, labels, strict=False):
        points = [(horizontal.place(place), vertical.place(line.points[place])) for place in places]
        kind = "line emphasized" if line.name == emphasized else "line"
        parts += drawn(line.name, kind, points, colour, label)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n"
    )


def drawn(name: str, kind: str, points: list[tuple[float, float]], colour: str, label: float) -> list[str]:
    """A line, its points, and its name beside its end."""
    path = " ".join(f"{x},{y}" for x, y in points)
    x, y = points[-1]
    return [
        f'<polyline class="{kind}" stroke="{colour}" points="{path}"/>',
        *(f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>' for x, y in points),
        f'<polyline class="line" stroke="{colour}" stroke-opacity="0.5" points="{x + 4},{y} {x + 14},{label}"/>',
        text(x + 18, label + 4, name),
    ]


def steps(low: float, high: float) -> list[float]:
    """The numbers 1, 2 and 5 of each power of ten, from the last one below all figures to the first one above."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    numbers = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    first = max(index for index, number in enumerate(numbers) if number <= low)
    last = min(index for index, number in enumerate(numbers) if number >= high)
    return numbers[first : last + 1]


def spread(heights: list[float]) -> list[float]:
    """Heights of labels, moved down where they would cover each other."""
    placed = dict.fromkeys(range(len(heights)), 0.0)
    lowest = -math.inf
    for index in sorted(placed, key=lambda index: heights[index]):
        lowest = max(heights[index], lowest + LABEL_HEIGHT)
        placed[index] = lowest
    return list(placed.values())


def rule(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<line class="grid" x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}"/>'


def text(x: float, y: float, content: str, anchor: str = "start", kind: str = "") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(content)}</text>'
