"""Draws line charts: a panel for each protocol, all on the same axes, each line labelled at its end or in a legend."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.charts.canvas import GRID, INK, MUTED, PANEL, Dashes, Layout, axes, canvas, write
from reports.charts.ticks import Axis

_TOP, _HEAD, _FOOT, _GAP, _LEFT = 4, 46, 30, 14, 58
_HEIGHT, _ROW, _LABELS, _BETWEEN = 236, 18, 268, 26
_DOUBTFUL = (0, (2.5, 2))
_MOST_MARKED = 16  # a line of more points has no markers
MARKERS = ("o", "s", "^", "D", "v")


@dataclass(frozen=True, slots=True)
class Line:
    """One endpoint: `x` and `y` [n]; hollow and dashed at `doubtful` [n] points. Without a marker it is a dotted ceiling.

    `gaps` are the indices of points that are not connected to the next one.
    """

    label: str
    colour: str
    marker: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    doubtful: tuple[bool, ...]
    gaps: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Panel:
    """One protocol's panel; each of its `facets` is a title (or "") and lines, of the same endpoints in the same order."""

    title: str
    facets: tuple[tuple[str, tuple[Line, ...]], ...]


@dataclass(frozen=True, slots=True)
class Guide:
    """A thin line across the first facet, with its text at its right end."""

    text: str
    x: tuple[float, float]
    y: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Plot:
    """All that a line chart shows: panels, the two axes that they share, and guides."""

    panels: tuple[Panel, ...]
    x: Axis
    y: Axis
    guides: tuple[Guide, ...] = ()


def draw_plot(plot: Plot, layout: Layout) -> Figure:
    """Draw the panels below each other; wide: facets side by side, labels at the right; narrow: facets and a legend stacked."""
    heights = [_panel_height(panel, layout) for panel in plot.panels]
    figure = canvas(layout.width_px, _TOP + sum(heights) + _GAP * (len(heights) - 1))
    top = float(_TOP)
    for panel, height in zip(plot.panels, heights, strict=True):
        if layout.beside:
            _draw_beside(figure, panel, plot, layout, top)
        else:
            _draw_below(figure, panel, plot, layout, top)
        top += height + _GAP
    return figure


def _plot_height(panel: Panel, layout: Layout) -> int:
    return max(_HEIGHT, _ROW * _lines(panel)) if layout.beside else 190


def _panel_height(panel: Panel, layout: Layout) -> int:
    if layout.beside:
        return _head(panel) + _plot_height(panel, layout) + _FOOT
    return len(panel.facets) * (_head(panel) + _plot_height(panel, layout) + _FOOT) + _ROW * _lines(panel) + 6


def _head(panel: Panel) -> int:
    return _HEAD if any(title for title, _ in panel.facets) else _HEAD - 20


def _lines(panel: Panel) -> int:
    return len({line.label for _, lines in panel.facets for line in lines})


def _draw_beside(figure: Figure, panel: Panel, plot: Plot, layout: Layout, top: float) -> None:
    height, count = _plot_height(panel, layout), len(panel.facets)
    width = (layout.width_px - _LEFT - _LABELS - _BETWEEN * (count - 1)) / count
    write(figure, 0, top + 10, panel.title, INK)
    for place, (title, lines) in enumerate(panel.facets):
        left = _LEFT + place * (width + _BETWEEN)
        if title:
            write(figure, left, top + _HEAD - 14, title, MUTED)
        ax = axes(figure, left, top + _head(panel), width, height)
        _style(ax, plot, named=place == 0)
        _plot_lines(ax, lines, plot.guides if place == 0 else ())
        if place == count - 1:
            _name_lines(figure, ax, lines, (left, top + _head(panel), width, height))


def _draw_below(figure: Figure, panel: Panel, plot: Plot, layout: Layout, top: float) -> None:
    height, width = _plot_height(panel, layout), layout.width_px - _LEFT - 14
    write(figure, 0, top + 10, panel.title, INK)
    for place, (title, lines) in enumerate(panel.facets):
        if title:
            write(figure, _LEFT, top + _HEAD - 14, title, MUTED)
        ax = axes(figure, _LEFT, top + _head(panel), width, height)
        _style(ax, plot, named=True)
        _plot_lines(ax, lines, plot.guides if place == 0 else ())
        top += _head(panel) + height + _FOOT
    for place, line in enumerate(panel.facets[-1][1]):
        y = top + 6 + _ROW * place
        _key(figure, 4, y, line)
        write(figure, 34, y, line.label, MUTED if not line.marker else INK)


def _style(ax: Axes, plot: Plot, *, named: bool) -> None:
    for axis, of in ((plot.x, "x"), (plot.y, "y")):
        if axis.logarithmic:
            getattr(ax, f"set_{of}scale")("log")
        getattr(ax, f"set_{of}lim")(axis.low, axis.high)
        texts = [text if of == "x" or named else "" for _, text in axis.marks]
        getattr(ax, f"set_{of}ticks")([at for at, _ in axis.marks], texts)
        getattr(ax, f"set_{of}ticks")([], minor=True)
    ax.grid(color=GRID)


def _plot_lines(ax: Axes, lines: Sequence[Line], guides: Sequence[Guide]) -> None:
    for guide in guides:
        ax.plot(guide.x, guide.y, color=MUTED, linewidth=0.8, alpha=0.45, zorder=1.5)
        ax.annotate(
            guide.text,
            (guide.x[1], guide.y[1]),
            xytext=(-3, 2),
            textcoords="offset points",
            color=MUTED,
            fontsize=10,
            ha="right",
        )
    for line in lines:
        _plot_line(ax, line)


def _plot_line(ax: Axes, line: Line) -> None:
    """Draw a line in pieces, since a doubtful point makes the line on both sides of it dashed."""
    pieces = pieces_of(line)
    for start, end, doubtful in pieces:
        style = ":" if not line.marker else _DOUBTFUL if doubtful else "-"
        colour, width = (line.colour, 1.8) if line.marker else (MUTED, 1.4)
        ax.plot(line.x[start : end + 1], line.y[start : end + 1], color=colour, linestyle=style, linewidth=width)
    if not line.marker:
        drawn = {place for start, end, _ in pieces for place in range(start, end + 1)}
        for place in set(range(len(line.x))) - drawn:  # a point between two gaps: without a dot it would be invisible
            ax.plot(line.x[place], line.y[place], color=MUTED, marker=".", linestyle="")
    if not line.marker or len(line.x) > _MOST_MARKED:
        return
    for doubtful in (False, True):
        points = [(x, y) for x, y, of in zip(line.x, line.y, line.doubtful, strict=True) if of is doubtful]
        (dots,) = ax.plot([x for x, _ in points], [y for _, y in points], linestyle="", clip_on=False, zorder=3)
        dots.set_marker(line.marker)
        dots.set_markersize(5.5)
        dots.set_markerfacecolor(PANEL if doubtful else line.colour)
        dots.set_markeredgecolor(line.colour)


def pieces_of(line: Line) -> list[tuple[int, int, bool]]:
    """For each piece that is drawn in one go: index of its first and its last point, and whether it is doubtful."""
    pieces: list[tuple[int, int, bool]] = []
    for start in range(len(line.x) - 1):
        if start in line.gaps:
            continue
        doubtful = bool(line.marker) and (line.doubtful[start] or line.doubtful[start + 1])
        if pieces and pieces[-1][1:] == (start, doubtful):
            pieces[-1] = (pieces[-1][0], start + 1, doubtful)
        else:
            pieces.append((start, start + 1, doubtful))
    return pieces


def _name_lines(figure: Figure, ax: Axes, lines: Sequence[Line], box: tuple[float, float, float, float]) -> None:
    """Write each label as near to the height of its line's end as the other labels allow; a thin line connects the two."""
    left, top, width, height = box
    ends = [_end(ax, line, box) for line in lines]
    order = sorted(range(len(lines)), key=lambda n: (ends[n][1], n))
    heights = spread([ends[n][1] for n in order], top, top + height)
    for place, n in enumerate(order):
        line, (x, y), at = lines[n], ends[n], heights[place]
        if line.x:
            _lead(figure, [x + 5, left + width + 4, left + width + 18], [y, y, at], line.colour if line.marker else MUTED)
        _key(figure, left + width + 22, at, line)
        write(figure, left + width + 50, at, line.label, INK if line.marker else MUTED)


def _end(ax: Axes, line: Line, box: tuple[float, float, float, float]) -> tuple[float, float]:
    """Where a line ends, in pixels of the figure; the panel's bottom right corner if it has no points."""
    left, top, width, height = box
    if not line.x:
        return left + width, top + height
    x, y = ax.transAxes.inverted().transform(ax.transData.transform((line.x[-1], line.y[-1])))
    return left + width * float(x), top + height * (1 - float(y))


def spread(wanted: Sequence[float], top: float, bottom: float) -> list[float]:
    """Heights of rows that do not overlap, between top and bottom, as near as possible to the `wanted` heights (ascending)."""
    places: list[float] = []
    for n, height in enumerate(wanted):
        lowest = bottom - _ROW * (len(wanted) - 1 - n)
        places.append(min(max(height, places[-1] + _ROW if places else top), lowest))
    for n in range(len(places) - 2, -1, -1):
        places[n] = min(places[n], places[n + 1] - _ROW)
    return places


def _key(figure: Figure, x: float, y: float, line: Line) -> None:
    """Draw the line's legend key: a short piece of it with its marker."""
    style: Dashes = "-" if line.marker else ":"
    colour = line.colour if line.marker else MUTED
    piece = Line2D(*_places(figure, [x, x + 11, x + 22], [y] * 3), color=colour, linestyle=style, linewidth=1.8)
    piece.set_marker(line.marker or "None")
    piece.set_markersize(5.5)
    piece.set_markevery([1])
    figure.add_artist(piece)


def _lead(figure: Figure, x: Sequence[float], y: Sequence[float], colour: str) -> None:
    figure.add_artist(Line2D(*_places(figure, x, y), color=colour, linewidth=0.7, alpha=0.7))


def _places(figure: Figure, x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    width, height = figure.get_size_inches() * 72
    return [each / width for each in x], [1 - each / height for each in y]
