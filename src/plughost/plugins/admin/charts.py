"""Small charts as inline SVG: no script, no style attribute, so the strictest policy lets them through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 600.0, 96.0
_PAD = 4.0
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))
_PHASES = ("waited", "imported", "validated", "started")
_MOST_ROWS = 100


def line(points: Sequence[Sequence[float]], label: str, *, top: float | None = None) -> Markup:
    """Return a line through ``[time, value]`` points, with its area; empty space while there are fewer than two.

    Args:
        points: Oldest first.
        label: What a screen reader says; it should hold the numbers that matter.
        top: Value of the upper edge; None takes the largest.
    """
    if len(points) < 2:
        return Markup(
            '<p class="empty">The line begins once there are two samples; they come every few seconds.</p>'
        )
    first, last = points[0][0], points[-1][0]
    highest = max((value for _, value in points), default=0.0) if top is None else top
    length, height = (last - first) or 1.0, highest or 1.0
    places = [
        (
            _PAD + (at - first) / length * (_WIDTH - 2 * _PAD),
            _HEIGHT - _PAD - min(value / height, 1.0) * (_HEIGHT - 2 * _PAD),
        )
        for at, value in points
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    base = _HEIGHT - _PAD
    area = f"{places[0][0]:.1f},{base} {path} {places[-1][0]:.1f},{base}"
    return Markup(
        '<figure><svg class="chart" role="img" viewBox="0 0 {w:g} {h:g}" preserveAspectRatio="none"'
        ' aria-label="{label}"><line class="grid" x1="0" x2="{w:g}" y1="{base}" y2="{base}"></line>'
        '<line class="grid" x1="0" x2="{w:g}" y1="{middle}" y2="{middle}"></line>'
        '<polygon class="area" points="{area}"></polygon>'
        '<polyline class="line" points="{path}"></polyline></svg>'
        "<figcaption><span>{span} ago</span><span>top {top}</span><span>now</span></figcaption></figure>"
    ).format(
        w=_WIDTH, h=_HEIGHT, label=label, base=base, middle=_HEIGHT / 2, area=area, path=path,
        span=span(last - first), top="100 %" if top == 1.0 else f"{height:g}",
    )  # fmt: skip


def bars(points: Sequence[Sequence[float]], label: str) -> Markup:
    """Return bars for ``[time, value, failed]`` points; the failed part of each is drawn over it."""
    if not points:
        return Markup('<p class="empty">No requests yet.</p>')
    highest = max(point[1] for point in points) or 1.0
    step = _WIDTH / max(len(points), 60)
    drawn = Markup("")
    for index, (_, value, failed) in enumerate(points):
        drawn += _bar(index * step, step, value / highest, "bar")
        drawn += _bar(index * step, step, failed / highest, "bar failed") if failed else Markup("")
    return Markup(
        '<figure><svg class="chart" role="img" viewBox="0 0 {w:g} {h:g}" preserveAspectRatio="none"'
        ' aria-label="{label}">{drawn}</svg>'
        "<figcaption><span>one bar for each busy minute</span><span>top {top:g}</span></figcaption></figure>"
    ).format(w=_WIDTH, h=_HEIGHT, label=label, drawn=drawn, top=highest)


def _bar(x: float, step: float, share: float, kind: str) -> Markup:
    height = max(share * (_HEIGHT - _PAD), 1.0)
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"></rect>').format(
        kind, x, _HEIGHT - height, step * 0.8, height
    )


def waterfall(timings: Mapping[str, Mapping[str, Any]], order: Sequence[str]) -> Markup:
    """Return one row for each plugin: how long it waited for others, was imported, checked and started.

    Args:
        timings: Seconds by phase, by plugin; None for a phase that was not reached.
        order: Plugins in the order they became ready; others follow.
    """
    names = [name for name in (*order, *sorted(set(timings) - set(order))) if _total(timings.get(name))]
    longest = max((_total(timings[name]) for name in names), default=0.0)
    if not names or not longest:
        return Markup('<p class="empty">No plugin was started yet.</p>')
    slowest = set(sorted(names, key=lambda name: -_total(timings[name]))[:_MOST_ROWS])
    rows = Markup("").join(_row(name, timings[name], longest) for name in names if name in slowest)
    if len(names) > len(slowest):
        rows += Markup("<p>The slowest {} of {}.</p>").format(len(slowest), len(names))
    return Markup('<div class="waterfall">{}</div>').format(rows)


def _row(name: str, timings: Mapping[str, Any], longest: float) -> Markup:
    x, drawn, told = 0.0, Markup(""), []
    for phase in _PHASES:
        seconds = timings.get(phase) or 0.0
        width = seconds / longest * 1000
        if width > 0:
            drawn += Markup('<rect class="{}" x="{:.2f}" y="0" width="{:.2f}" height="14"></rect>').format(
                phase, x, max(width, 1.5)
            )
            told.append(f"{phase} {milliseconds(seconds)}")
        x += width
    label = f"{name}: {', '.join(told)}"
    return Markup(
        '<div class="fall"><span class="who">{name}</span><svg role="img" aria-label="{label}"'
        ' viewBox="0 0 1000 14" preserveAspectRatio="none">{drawn}</svg><span class="num">{total}</span></div>'
    ).format(name=name, label=escape(label), drawn=drawn, total=milliseconds(_total(timings)))


def _total(timings: Mapping[str, Any] | None) -> float:
    return sum((timings or {}).get(phase) or 0.0 for phase in _PHASES)


def span(seconds: float) -> str:
    """Return a length of time for people, by its largest unit."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def milliseconds(seconds: float | None) -> str:
    """Return a length of time for people."""
    if seconds is None:
        return "-"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    if seconds >= 0.001:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1_000_000:.0f} µs"
