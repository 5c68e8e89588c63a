"""The charts: plain rows become an Altair chart, which vl-convert draws as SVG. Twice, for wide and narrow screens.

Every text has a place of its own, computed here, so that none can lie over another; colours are CSS variables of the
page (Okabe-Ito, light and dark), and no chart tells things apart by colour alone: there are shapes, words, hatching.
What is modelled is drawn hollow or hatched.
"""

from __future__ import annotations

import html
import itertools
import math
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final, Literal

import altair as alt
import vl_convert
from altair.utils.schemapi import debug_mode

from measurement.estimate import Kind
from measurement.report.wording import clean, compact, short_day, shortened, text_width, wrapped

WIDE: Final = 760
NARROW: Final = 300
"""Pixels; the page scales a chart up, never below these."""
Style = Literal["bar", "dot"]
_SIZE: Final = 13
_SMALL: Final = 12
_BOLD: Final = 1.12
"""How much more room bold letters take."""
_DASHES: Final[dict[str, Any]] = {"strokeDash": [4, 2]}
_SHADE: Final = 0.1
_VEGA_LITE: Final = alt.SCHEMA_VERSION.removeprefix("v").rsplit(".", 1)[0]
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
SHAPES: Final = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
COLOURS: Final = 6
"""`--c0` to `--c5` of the page, with a hatching of each (`#hatch0` …)."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One value of a group. ``series`` gives its colour and shape, ``text`` is its value in words."""

    label: str
    value: float
    text: str
    series: int = 0
    low: float | None = None
    high: float | None = None
    kind: Kind = "measured"


@dataclass(frozen=True, slots=True)
class Group:
    """What stands together under one name: a channel with its four models, a source with its keys."""

    label: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line over days. ``dashed``: it is modelled. None: no data on that day, the line is interrupted."""

    label: str
    values: tuple[float | None, ...]
    series: int
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart as two SVG texts, which threads draw while the next one is laid out."""

    drawn: tuple[Future[str], Future[str]]

    @property
    def wide(self) -> str:
        """For screens from 45 rem on, and for paper."""
        return self.drawn[0].result()

    @property
    def narrow(self) -> str:
        """For phones."""
        return self.drawn[1].result()


_PENS: Final = ThreadPoolExecutor(2, "vl-convert")


# The frame ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Frame:
    """A chart's plot: where it lies within the picture, in pixels, and which values its edges are."""

    plot: float
    height: float
    left: float
    x: tuple[float, float]
    y: tuple[float, float]
    """The values at the top and at the bottom."""
    size: float
    """Of the texts, in pixels."""
    top: float = 2
    datasets: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """What is drawn, by name: the layers refer to it, as Altair copies a layer with its data several times."""

    @classmethod
    def of_rows(cls, plot: float, height: float, left: float, x: tuple[float, float], size: float) -> Frame:
        """A frame whose values downward are pixels."""
        return cls(plot, height, left, x, (0.0, height), size)

    def across(self, name: str) -> alt.X:
        """A field of values as the place across."""
        return alt.X(f"{name}:Q", scale=alt.Scale(domain=list(self.x), nice=False, zero=False), axis=None)

    def down(self, name: str) -> alt.Y:
        """A field of values as the place downward."""
        scale = alt.Scale(domain=sorted(self.y), reverse=self.y[0] < self.y[1], nice=False, zero=False)
        return alt.Y(f"{name}:Q", scale=scale, axis=None)

    def value_at(self, pixels: float) -> float:
        """The value at a place across, counted from the picture's left edge."""
        return self.x[0] + (pixels - self.left) * (self.x[1] - self.x[0]) / self.plot

    def level_at(self, pixels: float) -> float:
        """The value at a place downward, counted from the plot's upper edge."""
        return self.y[0] + pixels * (self.y[1] - self.y[0]) / self.height

    def rows(self, rows: Iterable[dict[str, Any]]) -> alt.Chart:
        """A chart of these rows, to be given a mark."""
        name = f"rows{len(self.datasets)}"
        self.datasets[name] = list(rows)
        return alt.Chart(alt.NamedData(name))

    def texts(self, texts: Sequence[Text]) -> list[alt.Chart]:
        """The texts at their places: one layer for each way to write."""
        layers = []
        for align, bold in sorted({(each.align, each.bold) for each in texts}):
            rows = (
                {"x": self.value_at(each.x), "y": self.level_at(each.y), "text": each.text}
                for each in texts
                if (each.align, each.bold) == (align, bold)
            )
            mark = self.rows(rows).mark_text(
                align=align, baseline="middle", fontWeight=600 if bold else 400, fontSize=self.size
            )
            layers.append(mark.encode(x=self.across("x"), y=self.down("y"), text=alt.Text("text:N")))
        return layers

    def ticks_below(self, marks: Sequence[tuple[float, str]], width: float) -> list[Text]:
        """Labels of an axis below the plot: those for which there is room, moved inward at the picture's ends."""
        held: list[Text] = []
        edge = -math.inf
        for value, text in marks:
            half = text_width(text, self.size) / 2
            place = self.left + self.plot * (value - self.x[0]) / (self.x[1] - self.x[0])
            at = min(max(place, half), width - half)
            if at - half > edge + 6:
                held.append(Text(at, self.height + self.size + 3, text, "center"))
                edge = at + half
        return held

    def spec(self, layers: Sequence[alt.Chart], width: float) -> dict[str, Any]:
        """The layers as one chart in Vega-Lite, ``width`` pixels wide with its margins."""
        made = alt.layer(
            *layers,
            width=self.plot,
            height=self.height,
            autosize={"type": "none"},
            padding={"left": self.left, "right": width - self.left - self.plot, "top": self.top, "bottom": 26},
            config={
                "aria": False,
                "background": "transparent",
                "font": _FONT,
                "text": {"color": "currentColor"},
                "view": {"stroke": None},
            },
        )
        spec: dict[str, Any] = made.to_dict(validate=False)
        return spec | {"datasets": self.datasets}


@dataclass(frozen=True, slots=True)
class Text:
    """Words at a place: pixels from the picture's left edge and from the plot's upper one."""

    x: float
    y: float
    text: str
    align: Literal["left", "center", "right"] = "left"
    bold: bool = False


_FILL: Final = alt.Fill("fill:N", scale=None)
_STROKE: Final = alt.Stroke("stroke:N", scale=None)


# Rows -----------------------------------------------------------------------------------------------------------------


def draw_rows(
    groups: Sequence[Group],
    *,
    style: Style,
    form: Callable[[float], str],
    title: str,
    about: str,
    reference: float | None = None,
) -> Picture:
    """Values in rows, as bars from zero or as dots with intervals. ``reference``: a line at this value."""
    return _both(lambda width: _rows(groups, style, form, width, reference), title, about)


def _rows(
    groups: Sequence[Group], style: Style, form: Callable[[float], str], width: int, reference: float | None
) -> dict[str, Any]:
    if all(len(group.marks) == 1 and not group.marks[0].label for group in groups):
        groups = [Group("", tuple(replace(mark, label=group.label) for group in groups for mark in group.marks))]
    wide = width >= WIDE
    size = _SIZE if wide else _SMALL
    marks = [mark for group in groups for mark in group.marks]
    widest = max((text_width(clean(group.label), size * _BOLD) for group in groups if group.label), default=0.0)
    # The group's name stands beside its rows, on narrow screens above them.
    group_room = min(200.0, widest + 14) if wide and widest else 0.0
    label_room = max((text_width(mark.label, size) for mark in marks if mark.label), default=0.0)
    whole = label_room + 10 if label_room else 0.0
    label_room = min((0.26 if wide else 0.42) * width, whole)
    text_room = max((text_width(mark.text, size) for mark in marks), default=0.0) + 14
    plot = width - group_room - label_room - text_room
    # Where a mark has no room beside its words, it stands below them.
    below = plot < 0.3 * width or (label_room < whole and not wide)
    if below:
        plot, label_room = width - group_room - 10, 0.0
    row = size + (22 if below else 9)
    left = group_room + label_room + (5 if below else 0)

    drawn: list[dict[str, Any]] = []
    texts: list[Text] = []
    grid: list[tuple[float, float]] = []
    y = 2.0
    for group in groups:
        if group.label and group_room:
            at = y + (size / 2 + 2 if below else row / 2)
            for each in wrapped(group.label, group_room - 12, size * _BOLD, min(3, len(group.marks))):
                texts.append(Text(0, at, each, bold=True))
                at += size + 4 if not below else row
        elif group.label:
            for each in wrapped(group.label, width - 8, size * _BOLD, 2):
                texts.append(Text(0, y + size / 2 + 2, each, bold=True))
                y += size + 5
            y += 3
        grid += [] if below else [(y, y + row * len(group.marks))]
        for mark in group.marks:
            words = y + (size / 2 + 2 if below else row / 2)
            if mark.label:
                room = width - group_room - text_room if below else label_room - 8
                texts.append(Text(group_room, words, shortened(mark.label, room, size)))
            texts.append(Text(width - 2, words, mark.text, "right"))
            drawn.append(_drawn(mark, y + size + 11 if below else words))
            grid += [(y + size + 4, y + size + 18)] if below else []
            y += row
        y += 10 if len(group.marks) > 1 or not group_room else 0
    height = y

    held = [each for mark in marks for each in (mark.value, mark.low, mark.high) if each is not None]
    held += [0.0]  # so that no difference looks larger than it is
    ticks = _ticks(held, 5 if wide else 3)
    frame = Frame.of_rows(plot, height, left, (ticks[0], ticks[-1]), size)
    layers = [_grid(frame, ticks, grid, thickness=1, opacity=0.18)]
    if reference is not None:
        layers.append(_grid(frame, [reference], grid, thickness=1.5, opacity=0.75))
    intervals = _intervals(frame, drawn, style)
    layers += [*_bars(frame, drawn), *intervals] if style == "bar" else [*intervals, *_dots(frame, drawn)]
    texts += frame.ticks_below([(tick, form(tick)) for tick in ticks], width)
    return frame.spec([*layers, *frame.texts(texts)], width)


def _grid(
    frame: Frame, values: Sequence[float], spans: Sequence[tuple[float, float]], *, thickness: float, opacity: float
) -> alt.Chart:
    """Lines downward at these values, beside the marks only, so that none runs through words."""
    lines = frame.rows({"value": value, "top": top, "bottom": bottom} for value in values for top, bottom in spans)
    mark = lines.mark_rule(strokeWidth=thickness, opacity=opacity, color="currentColor")
    drawn: alt.Chart = mark.encode(x=frame.across("value"), y=frame.down("top"), y2=alt.Y2("bottom"))
    return drawn


def _drawn(mark: Mark, y: float) -> dict[str, Any]:
    place = mark.series % COLOURS
    return {
        "value": mark.value,
        "low": mark.low,
        "high": mark.high,
        "y": y,
        "top": y - 6.5,
        "bottom": y + 6.5,
        "measured": mark.kind == "measured",
        "shape": SHAPES[mark.series % len(SHAPES)],
        "colour": f"var(--c{place})",
        "stroke": f"var(--c{place})",
        "hatch": f"url(#hatch{place})",
    }


def _bars(frame: Frame, drawn: Sequence[dict[str, Any]]) -> list[alt.Chart]:
    """Bars from zero; of what is not measured hatched, with a dashed edge."""
    layers = []
    for measured in (True, False):
        held = [
            {**each, "zero": 0.0, "fill": each["colour" if measured else "hatch"]}
            for each in drawn
            if each["measured"] is measured and each["value"]
        ]
        if held:
            mark = frame.rows(held).mark_bar(strokeWidth=1.4, **({} if measured else _DASHES))
            place: dict[str, Any] = {
                "x": frame.across("zero"),
                "x2": alt.X2("value"),
                "y": frame.down("top"),
                "y2": alt.Y2("bottom"),
            }
            layers.append(mark.encode(fill=_FILL, stroke=_STROKE, **place))
    return layers


def _dots(frame: Frame, drawn: Sequence[dict[str, Any]]) -> list[alt.Chart]:
    """Points; of what is not measured hollow."""
    layers = []
    for shape in sorted({each["shape"] for each in drawn}):
        held = [
            {**each, "fill": each["colour"] if each["measured"] else "var(--ground)"}
            for each in drawn
            if each["shape"] == shape
        ]
        mark = frame.rows(held).mark_point(shape=shape, size=70, strokeWidth=2, opacity=1)
        layers.append(mark.encode(x=frame.across("value"), y=frame.down("y"), fill=_FILL, stroke=_STROKE))
    return layers


def _intervals(frame: Frame, drawn: Sequence[dict[str, Any]], style: Style) -> list[alt.Chart]:
    """The intervals as lines with ends; upon bars in the text's colour, to be seen there."""
    held = [each for each in drawn if each["low"] is not None and each["high"] is not None]
    if not held:
        return []
    stroke = alt.value("currentColor") if style == "bar" else _STROKE
    ends = [
        {**each, "end": each[side], "top": each["y"] - 4, "bottom": each["y"] + 4}
        for each in held
        for side in ("low", "high")
    ]
    return [
        frame.rows(held)
        .mark_rule(strokeWidth=2)
        .encode(x=frame.across("low"), x2=alt.X2("high"), y=frame.down("y"), stroke=stroke),
        frame.rows(ends)
        .mark_rule(strokeWidth=2)
        .encode(x=frame.across("end"), y=frame.down("top"), y2=alt.Y2("bottom"), stroke=stroke),
    ]


# Days -----------------------------------------------------------------------------------------------------------------


def draw_lines(
    days: Sequence[date],
    lines: Sequence[Line],
    *,
    title: str,
    about: str,
    band: Sequence[tuple[float, float]] = (),
    spans: Sequence[tuple[date, date]] = (),
    span_label: str = "",
) -> Picture:
    """Lines over days. ``band``: the interval around the dashed line; ``spans``: shaded days, such as a test's."""
    return _both(lambda width: _lines(days, lines, band, spans, span_label, width), title, about)


def _lines(
    days: Sequence[date],
    lines: Sequence[Line],
    band: Sequence[tuple[float, float]],
    spans: Sequence[tuple[date, date]],
    span_label: str,
    width: int,
) -> dict[str, Any]:
    wide = width >= WIDE
    size = _SIZE if wide else _SMALL
    values = [value for line in lines for value in line.values if value is not None]
    ticks = _ticks([0.0, *values, *(each for pair in band for each in pair)], 4)
    low, high = ticks[0], ticks[-1]
    left = max(text_width(compact(tick), size) for tick in ticks) + 10
    first, last = days[0].toordinal(), max(days[-1].toordinal(), days[0].toordinal() + 1)

    legend = [
        _Sample(
            line.label, f"var(--c{line.series % COLOURS})", "dash" if line.dashed else "line", _thickness(place, lines)
        )
        for place, line in enumerate(lines)
    ]
    legend += [_Sample("95 % interval", "var(--c1)", "band")] if band else []
    legend += [_Sample(span_label, "currentColor", "span")] if spans and span_label else []
    rows, placed = _placed(legend, width, size)
    top = rows * (size + 9) + 8
    frame = Frame(width - left - 8, 240.0 if wide else 190.0, left, (first, last), (high, low), size, top)
    x, y = frame.across("day"), frame.down("value")

    layers: list[alt.Chart] = []
    shaded = [
        {"day": max(a.toordinal(), first), "end": min(b.toordinal() + 1, last), "value": low, "upper": high}
        for a, b in spans
        if a.toordinal() <= last and b.toordinal() >= first
    ]
    if shaded:
        mark_span = frame.rows(shaded).mark_rect(color="currentColor", opacity=_SHADE)
        layers.append(mark_span.encode(x=x, x2=alt.X2("end"), y=y, y2=alt.Y2("upper")))
    layers.append(
        frame.rows({"value": tick} for tick in ticks).mark_rule(opacity=0.18, color="currentColor").encode(y=y)
    )
    if band:
        around = [{"day": day.toordinal(), "value": a, "upper": b} for day, (a, b) in zip(days, band, strict=True)]
        layers.append(
            frame.rows(around).mark_area(color="var(--c1)", opacity=0.25).encode(x=x, y=y, y2=alt.Y2("upper"))
        )
    for place, line in enumerate(lines):
        colour = f"var(--c{line.series % COLOURS})"
        for run in _runs(days, line.values):
            mark = frame.rows(run)
            dash: dict[str, Any] = {"strokeDash": [6, 3]} if line.dashed else {}
            shown = (
                mark.mark_line(color=colour, strokeWidth=_thickness(place, lines), **dash)
                if len(run) > 1
                else mark.mark_point(color=colour, size=20, filled=True, opacity=1)
            )
            layers.append(shown.encode(x=x, y=y))
    texts = [Text(left - 8, frame.height * (high - tick) / (high - low), compact(tick), "right") for tick in ticks]
    named = _named(first, last, 6 if wide else 3)
    texts += frame.ticks_below([(each, short_day(date.fromordinal(each))) for each in named], width)
    texts += [Text(at + 30, down - top, shortened(sample.label, width - 40, size)) for sample, at, down in placed]
    layers += [_sample(frame, sample, at, down - top) for sample, at, down in placed]
    return frame.spec([*layers, *frame.texts(texts)], width)


def _thickness(place: int, lines: Sequence[Line]) -> float:
    """Of lines that may lie on each other the first is the thickest, so that all can be seen."""
    if any(line.dashed for line in lines):
        return 2.2
    return 1.6 + 2.2 * (len(lines) - 1 - place)


def _runs(days: Sequence[date], values: Sequence[float | None]) -> list[list[dict[str, Any]]]:
    """The days with values, in runs without a gap."""
    held = list(zip(days, values, strict=True))
    return [
        [{"day": day.toordinal(), "value": value} for day, value in run]
        for there, run in itertools.groupby(held, key=lambda each: each[1] is not None)
        if there
    ]


@dataclass(frozen=True, slots=True)
class _Sample:
    """An entry of a legend."""

    label: str
    colour: str
    shape: Literal["line", "dash", "band", "span"]
    thickness: float = 2.2


def _placed(samples: Sequence[_Sample], width: int, size: float) -> tuple[int, list[tuple[_Sample, float, float]]]:
    """How many rows the legend has, and where its entries stand, from the picture's upper left corner."""
    x, row = 0.0, 0
    placed = []
    for sample in samples:
        room = 30 + text_width(sample.label, size) + 16
        if x and x + room > width:
            x, row = 0.0, row + 1
        placed.append((sample, x, row * (size + 9) + size / 2 + 2))
        x += room
    return row + 1, placed


def _sample(frame: Frame, sample: _Sample, x: float, y: float) -> alt.Chart:
    row = {
        "x": frame.value_at(x),
        "end": frame.value_at(x + 24),
        "y": frame.level_at(y),
        "top": frame.level_at(y - 6),
        "bottom": frame.level_at(y + 6),
    }
    chart = frame.rows([row])
    if sample.shape in ("line", "dash"):
        dash: dict[str, Any] = {"strokeDash": [6, 3]} if sample.shape == "dash" else {}
        line = chart.mark_rule(color=sample.colour, strokeWidth=sample.thickness, **dash)
        drawn: alt.Chart = line.encode(x=frame.across("x"), x2=alt.X2("end"), y=frame.down("y"))
        return drawn
    area = chart.mark_rect(color=sample.colour, opacity=0.25 if sample.shape == "band" else _SHADE)
    shown: alt.Chart = area.encode(x=frame.across("x"), x2=alt.X2("end"), y=frame.down("top"), y2=alt.Y2("bottom"))
    return shown


# Which days there are -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Strip:
    """A layer: ``spans`` of days with data, inclusive, and what is said of it."""

    label: str
    spans: tuple[tuple[date, date], ...]
    text: str


def draw_strips(strips: Sequence[Strip], first: date, last: date, *, title: str, about: str) -> Picture:
    """Which days each layer has data for."""
    return _both(lambda width: _strips(strips, first, last, width), title, about)


def _strips(strips: Sequence[Strip], first: date, last: date, width: int) -> dict[str, Any]:
    wide = width >= WIDE
    size = _SIZE if wide else _SMALL
    label_room = max(text_width(each.label, size) for each in strips) + 14
    text_room = max(text_width(each.text, size) for each in strips) + 14
    left = label_room if wide else 0.0
    row = size + (12 if wide else 26)
    start, end = first.toordinal(), last.toordinal() + 1
    plot = width - left - (text_room if wide else 0)
    frame = Frame.of_rows(plot, float(row * len(strips)), left, (start, end), size)
    texts, there, ground = [], [], []
    for place, each in enumerate(strips):
        words = place * row + (row / 2 if wide else size / 2 + 2)
        middle = words if wide else place * row + size + 13
        label = each.label if wide else shortened(each.label, width - text_room, size)
        texts += [Text(0, words, label), Text(width - 2, words, each.text, "right")]
        edges = {"top": middle - 6, "bottom": middle + 6}
        ground.append({"day": start, "end": end, "top": middle - 4.5, "bottom": middle + 4.5})
        there += [{"day": a.toordinal(), "end": b.toordinal() + 1, **edges} for a, b in each.spans]
    place_of: dict[str, Any] = {
        "x": frame.across("day"),
        "x2": alt.X2("end"),
        "y": frame.down("top"),
        "y2": alt.Y2("bottom"),
    }
    empty: dict[str, Any] = {
        "fill": "none",
        "stroke": "currentColor",
        "strokeDash": [2, 3],
        "strokeWidth": 1,
        "opacity": 0.6,
    }
    layers: list[alt.Chart] = [frame.rows(ground).mark_rect(**empty).encode(**place_of)]
    if there:
        layers.append(frame.rows(there).mark_rect(color="var(--c0)").encode(**place_of))
    named = _named(start, end - 1, 5 if wide else 3)
    texts += frame.ticks_below([(each + 0.5, short_day(date.fromordinal(each))) for each in named], width)
    return frame.spec([*layers, *frame.texts(texts)], width)


# What all of them share -----------------------------------------------------------------------------------------------


def _ticks(values: Sequence[float], count: int) -> list[float]:
    """Round numbers, evenly apart, that enclose the values."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high - low < 1e-12:
        low, high = min(low, 0.0), max(high, 0.0)
        if high - low < 1e-12:
            high = 1.0
    raw = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * each for each in (1, 2, 2.5, 5, 10) if unit * each >= raw * 0.999)
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(each * step, 12) for each in range(start, end + 1)]


def _named(first: int, last: int, count: int) -> list[int]:
    """Days to name on an axis, evenly apart."""
    return list(range(first, last + 1, max(1, math.ceil((last - first) / count))))


def _both(make: Callable[[int], dict[str, Any]], title: str, about: str) -> Picture:
    # Altair holds every part against its schema as it is made, which takes half of the time; a test does it instead.
    with debug_mode(False):
        wide, narrow = (_PENS.submit(_svg, make(width), width, title, about) for width in (WIDE, NARROW))
    return Picture((wide, narrow))


def _svg(spec: dict[str, Any], width: int, title: str, about: str) -> str:
    """The chart as SVG for a page: with a name and a description for those who do not see it, without a size."""
    drawn: str = vl_convert.vegalite_to_svg(spec, vl_version=_VEGA_LITE)
    root = re.match(r"<svg[^>]*? viewBox=\"([^\"]*)\">", drawn)
    if root is None:
        raise RuntimeError(f"vl-convert begins an SVG in another way: {drawn[:200]}")
    name = f"{zlib.crc32(drawn.encode() + title.encode()):08x}"
    inner = re.sub(r' (?:aria-[a-z]+|role|class|pointer-events)="[^"]*"', "", drawn[root.end() :])
    return (
        f'<svg class="{"wide" if width >= WIDE else "narrow"}" viewBox="{root[1]}" role="img" '
        f'aria-labelledby="t{name} d{name}"><title id="t{name}">{html.escape(clean(title))}</title>'
        f'<desc id="d{name}">{html.escape(clean(about))}</desc>{inner}'
    )
