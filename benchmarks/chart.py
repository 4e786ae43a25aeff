"""The picture of what `benchmarks.run` measured: time, time to the floor and memory, against rows.

    python -m benchmarks.chart benchmarks/figures.json      # draw it again

SVG by hand, for it is small, keeps its text as text and follows the reader's light or dark scheme, which no
plotting package writes.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.report import Line

#: Name in the picture, and the colour in a light and in a dark scheme.
_SERIES = {
    "floor": ("floor", "#59636e", "#9198a1"),
    "unify": ("unify", "#cf222e", "#ff7b72"),
    "operator": ("operator", "#bc4c00", "#ffa657"),
    "polars": ("polars", "#0969da", "#79c0ff"),
    "pandas": ("pandas", "#1a7f37", "#7ee787"),
    "networkx": ("networkx", "#8250df", "#d2a8ff"),
    "splink": ("Splink", "#9a6700", "#e3b341"),
    "naive": ("naive", "#0b7a75", "#56d4bc"),
}
_EMPHASISED = ("unify", "operator")
_PANEL_WIDTH, _LABEL_WIDTH, _MARGIN = 180, 146, 44
_WIDTH, _HEIGHT, _TOP, _BOTTOM = 3 * (_PANEL_WIDTH + _LABEL_WIDTH + _MARGIN) + 12, 330, 52, 34
_LINE_HEIGHT = 14
_TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class _Panel:
    title: str
    key: str
    shown: Callable[[float], str]


def _seconds(value: float) -> str:
    return f"{value:,.0f} s" if value >= 10 else f"{value:.2g} s"


def _memory(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def _times(value: float) -> str:
    return f"{value:,.0f}" + _TIMES if value >= 10 else f"{value:.1f}" + _TIMES


_PANELS = (
    _Panel("Time", "seconds", _seconds),
    _Panel("Time, to the floor", "ratio", _times),
    _Panel("Peak memory", "peak_mb", _memory),
)


@dataclass(frozen=True)
class _Axis:
    """A logarithmic axis: values between two limits become positions between two others."""

    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        """The position of a value."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> Iterator[float]:
        """Round values: powers of ten, and more between few of them."""
        decades = math.log10(self.high / self.low)
        steps = (1, 2, 5) if decades < 1.5 else (1, 3) if decades < 3 else (1,)
        for power in range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1):
            for step in steps:
                if self.low <= step * 10.0**power <= self.high:
                    yield step * 10.0**power


def chart(lines: Sequence[Line]) -> str:
    """The picture as SVG."""
    drawn = [line for line in lines if line["contender"] in _SERIES and line.get("ratio")]
    parts = [part for number, panel in enumerate(_PANELS) for part in _draw(panel, number, drawn)]
    style = (
        f"{_colours(0)} @media (prefers-color-scheme:dark){{{_colours(1)}}} "
        "text{font:11px system-ui,sans-serif} .title{font-size:13px;font-weight:600} .tick{text-anchor:end} "
        ".rows{text-anchor:middle} .line{fill:none;stroke:currentColor;stroke-width:1.5} "
        ".bold{stroke-width:3} .dot,.label{fill:currentColor} .strong{font-weight:700}"
    )
    described = "Time, time to the floor and peak memory of every contender against the rows of the sources"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'width="{_WIDTH}" height="{_HEIGHT}" aria-label="{described}">',
            f"<style>{style}</style>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" class="back" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _colours(scheme: int) -> str:
    """Style of one scheme: that of the page, then a colour per contender."""
    back, text, grid = (("#fff", "#1f2328", "#d1d9e0"), ("#0d1117", "#e6edf3", "#30363d"))[scheme]
    lines = " ".join(f".{name}{{color:{colours[scheme]}}}" for name, (_, *colours) in _SERIES.items())
    return f".back{{fill:{back}}} text{{fill:{text}}} .grid{{stroke:{grid}}} {lines}"


def _draw(panel: _Panel, number: int, lines: Sequence[Line]) -> Iterator[str]:
    left = _MARGIN + number * (_PANEL_WIDTH + _LABEL_WIDTH + _MARGIN)
    yield f'<text class="title" x="{left}" y="22">{panel.title}</text>'
    yield f'<text x="{left}" y="{_TOP - 14}">both axes logarithmic</text>'
    if not lines:
        return
    across = _Axis(*_limits([line["rows"] for line in lines]), left, left + _PANEL_WIDTH)
    up = _Axis(*_limits([line[panel.key] for line in lines]), _HEIGHT - _BOTTOM, _TOP)
    for value in up.ticks():
        y = up.at(value)
        yield f'<path class="grid" d="M{left} {y:.1f}h{_PANEL_WIDTH}"/>'
        yield f'<text class="tick" x="{left - 5}" y="{y + 4:.1f}">{panel.shown(value)}</text>'
    for rows in sorted({line["rows"] for line in lines}):
        x = across.at(rows)
        yield f'<text class="rows" x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}">{_rows(rows)}</text>'
    yield from _draw_series(panel, lines, across, up)


def _draw_series(panel: _Panel, lines: Sequence[Line], across: _Axis, up: _Axis) -> Iterator[str]:
    ends: dict[str, float] = {}
    most = max(line["rows"] for line in lines)
    for name in sorted(_SERIES, key=_EMPHASISED.__contains__):
        points = sorted((line["rows"], line[panel.key]) for line in lines if line["contender"] == name)
        if not points:
            continue
        places = [(across.at(rows), up.at(value)) for rows, value in points]
        bold = " bold" if name in _EMPHASISED else ""
        yield f'<path class="line {name}{bold}" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>'
        yield from (f'<circle class="dot {name}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in places)
        ends[name] = places[-1][1]
    last = {line["contender"]: line for line in sorted(lines, key=lambda line: line["rows"])}
    for name, y in _apart(ends).items():
        line = last[name]
        # Not every contender finishes, or is tried, with the most rows.
        where = "" if line["rows"] == most else f" at {_rows(line['rows'])}"
        text = escape(f"{_SERIES[name][0]} {panel.shown(line[panel.key])}{where}")
        strong = " strong" if name in _EMPHASISED else ""
        x = across.end + 8
        yield f'<text class="label {name}{strong}" x="{x:.0f}" y="{y + 4:.1f}">{text}</text>'


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """A little more than the values cover, so that no point lies on the edge."""
    return min(values) / 1.2, max(values) * 1.2


def _apart(heights: dict[str, float]) -> dict[str, float]:
    """Labels beside their lines' ends, moved until none covers another and all are inside."""
    names = sorted(heights, key=heights.__getitem__)
    placed: list[float] = []
    for name in names:
        placed.append(max([heights[name], *(one + _LINE_HEIGHT for one in placed[-1:])]))
    below = float(_HEIGHT - _BOTTOM)
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], below)
        below = placed[i] - _LINE_HEIGHT
    return dict(zip(names, placed, strict=True))


def _rows(rows: int) -> str:
    return f"{rows / 1_000_000:g} M" if rows >= 1_000_000 else f"{rows / 1000:g} k"


if __name__ == "__main__":
    figures = Path(sys.argv[1])
    figures.with_suffix(".svg").write_text(chart(json.loads(figures.read_text())["lines"]))
