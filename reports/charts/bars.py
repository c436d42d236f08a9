"""Draws throughput bars, grouped by protocol, with intervals, ceilings and verdicts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.contract.records import Record
from reports.charts.canvas import INK, MUTED, Group, Layout, axes, canvas, write
from reports.tables.clean_text import ends, one_line, shortened
from reports.tables.names import endpoint_name
from reports.tables.numbers import number, with_interval

_WIDE_PX = 600  # wider charts have room for more ticks
_TOP, _HEAD, _GAP, _FOOT, _THICK = 4, 30, 8, 30, 14
_CHAR = 7.2  # mean width in px of a character of DejaVu Sans at 12 px, rounded up; every other font is narrower


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a figure is drawn on: names beside the bars (left of `left`) or above them, the axes from `_TOP` down."""

    figure: Figure
    ax: Axes
    layout: Layout
    left: float
    text: Callable[[Record], str]
    label: Callable[[Record], str] | None

    @property
    def row(self) -> int:
        return _row_height(self.layout)

    def name(self, record: Record) -> str:
        return _name(record, self.layout, self.label)


def bar_text(record: Record) -> str:
    """The text beside a bar: images/s with its interval, and the verdict if it is not VALID."""
    speed = with_interval(record.images_per_s, record.images_per_s_low, record.images_per_s_high) if record.images_per_s else ""
    return "  ".join(text for text in (speed, record.verdict.doubt) if text) or "no speed"


def draw_bars(
    groups: Sequence[Group],
    layout: Layout,
    text: Callable[[Record], str] = bar_text,
    label: Callable[[Record], str] | None = None,
) -> Figure:
    """Draw horizontal bars of images/s, a row for each record of each group, with its `text` beside the bar.

    Each group has a heading with its protocol and ceiling; with a `label`, which then names each record, there is none.
    """
    records = [record for group in groups for record in group.records]
    apart = _HEAD + _GAP if label is None else 0
    plot_height = sum(apart + _row_height(layout) * len(group.records) for group in groups)
    figure = canvas(layout.width_px, _TOP + plot_height + _FOOT)
    left, right = 4.0, 8.0
    if layout.beside:
        left = 14 + _CHAR * max(len(_name(record, layout, label)) for record in records)
        right = 16 + _CHAR * max((len(text(record)) for record in records if record.images_per_s), default=0)
    ax = axes(figure, left, _TOP, layout.width_px - left - right, plot_height)
    ax.set_ylim(plot_height, 0)
    limit = _limit(groups)
    ax.set_xlim(0, limit)
    _style_axis(ax, layout, empty=not any(record.images_per_s for record in records))
    frame = _Frame(figure, ax, layout, left, text, label)
    y = 0.0
    for group in groups:
        y = _draw_rows(frame, group, y) if label is not None else _draw_group(frame, group, y, limit)
    return figure


def _row_height(layout: Layout) -> int:
    return 24 if layout.beside else 42


def _name(record: Record, layout: Layout, label: Callable[[Record], str] | None) -> str:
    if label is not None:
        return shortened(label(record), 34 if layout.beside else 28)
    return shortened(endpoint_name(record), 34 if layout.beside else 24)


def _limit(groups: Sequence[Group]) -> float:
    """End of the x axis: the fastest bar's interval, or a ceiling up to 1.5 times that; a higher one would squash the bars."""
    ends = [r.images_per_s_high or r.images_per_s for group in groups for r in group.records if r.images_per_s]
    fastest = max((end for end in ends if end), default=1.0)
    return 1.02 * max([fastest, *(group.ceiling for group in groups if group.ceiling and group.ceiling <= 1.5 * fastest)])


def _style_axis(ax: Axes, layout: Layout, *, empty: bool) -> None:
    ax.set_yticks([])
    if empty:
        ax.set_xticks([])
        return
    ax.locator_params(axis="x", nbins=7 if layout.width_px > _WIDE_PX else 4)
    ax.xaxis.set_major_formatter(_tick)
    ax.grid(axis="x")


def _tick(value: float, _position: object) -> str:
    if value == 0:
        return "0"
    return f"{value:,.0f}/s" if value == round(value) else f"{value:g}/s"


def _draw_group(frame: _Frame, group: Group, y: float, limit: float) -> float:
    """Draw the group's heading, ceiling and rows from `y` down; returns the y where it ends."""
    wide = frame.layout.beside
    head = shortened(group.protocol, 40 if wide else 18) or "unknown protocol"
    if group.ceiling is not None:
        mark = "dashed" if group.ceiling <= limit else "off the scale"
        head += f"  ·  null ceiling {number(group.ceiling)}" + (f" images/s, {mark}" if wide else f", {mark}")
    write(frame.figure, 0, _TOP + y + 17, head, MUTED)
    y += _HEAD
    if group.ceiling is not None and group.ceiling <= limit:
        ends = [y - 3, y + frame.row * len(group.records)]
        frame.ax.plot([group.ceiling] * 2, ends, color=INK, linewidth=1.4, linestyle=(0, (4, 3)))
    return _draw_rows(frame, group, y) + _GAP


def _draw_rows(frame: _Frame, group: Group, y: float) -> float:
    """Draw a row for each record from `y` down; returns the y where they end."""
    for record in group.records:
        if record.images_per_s is None:
            _draw_reason(frame, record, y)
        else:
            _draw_bar(frame, record, record.images_per_s, group.colour, y)
        y += frame.row
    return y


def _draw_reason(frame: _Frame, record: Record, y: float) -> None:
    """Draw a cell without a speed: its verdict and reason in place of a bar."""
    reason = f"{record.verdict}: {one_line(record.reason)}" if record.reason.strip() else str(record.verdict)
    _write_name(frame, record, y)
    if frame.layout.beside:
        room = int((frame.layout.width_px - frame.left) / _CHAR) - 1
        write(frame.figure, frame.left + 6, _TOP + y + 12, ends(reason, room), MUTED)
    else:
        write(frame.figure, 0, _TOP + y + 28, ends(reason, int(frame.layout.width_px / _CHAR)), MUTED)


def _draw_bar(frame: _Frame, record: Record, speed: float, colour: str, y: float) -> None:
    """Draw a cell's name, bar (hatched unless VALID), interval and text."""
    middle = y + (12 if frame.layout.beside else 27)
    solid = record.verdict.believed
    face, hatch = (colour, "") if solid else ("none", "/////")
    bar = Rectangle((0, middle - _THICK / 2), speed, _THICK, facecolor=face, edgecolor=colour, hatch=hatch, linewidth=1)
    frame.ax.add_patch(bar)
    low, high = record.images_per_s_low, record.images_per_s_high
    if low is not None and high is not None:
        frame.ax.plot([low, high], [middle] * 2, color=INK, linewidth=1.4)
        for end in (low, high):
            frame.ax.plot([end] * 2, [middle - 4, middle + 4], color=INK, linewidth=1.4)
    _write_name(frame, record, y)
    if frame.layout.beside:
        x_bar = frame.ax.get_position().width * frame.layout.width_px * (high or speed) / frame.ax.get_xlim()[1]
        write(frame.figure, frame.left + x_bar + 8, _TOP + middle, frame.text(record))
    else:
        write(frame.figure, frame.layout.width_px - 4, _TOP + y + 10, frame.text(record).replace("  ", " "), align="right")


def _write_name(frame: _Frame, record: Record, y: float) -> None:
    if frame.layout.beside:
        write(frame.figure, frame.left - 10, _TOP + y + 12, frame.name(record), align="right")
    else:
        write(frame.figure, 0, _TOP + y + 10, frame.name(record))
