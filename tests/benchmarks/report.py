"""The figures as a table, as a picture, and on the page about speed."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.backends.openssl import backend

from tests.benchmarks.measuring import Figure
from tests.benchmarks.rows import ROWS, Findings

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "explanation" / "speed.md"
PICTURE: Final = PAGE.with_suffix(".svg")
KEPT: Final = Path(__file__).with_name("figures.json")
BEGIN, END = "<!-- figures -->", "<!-- end of the figures -->"
# Whose cost is in the figures.
PACKAGES: Final = (
    "cryptography", "PyJWT", "joserfc", "Authlib", "python-jose", "auth0-api-python", "auth0-fastapi-api", "fastmcp",
    "oxyjwt", "fastapi", "starlette", "uvicorn", "httptools", "uvloop", "Flask", "gunicorn", "orjson", "pybase64",
)  # fmt: skip


# --- the machine ----------------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "openssl": backend.openssl_version_text(),
        "versions": {name: version for name in PACKAGES if (version := _version(name)) is not None},
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def described(of: Mapping[str, Any]) -> str:
    """One paragraph."""
    versions = ", ".join(f"{name} {version}" for name, version in of["versions"].items())
    return (
        f"Measured on {of['date']}: {of['processor']}, {of['cores']} cores, {of['system']}, {of['python']}, "
        f"{of['openssl']}, load before the run {of['load']:g}. {versions}."
    )


# --- tables ---------------------------------------------------------------------------------------------------------


def tables(plain: Findings, fast: Findings | None) -> str:
    """All rows that were measured; then the libraries side by side. In Markdown."""
    return "\n".join([*_rows(plain, fast), *_side_by_side(plain)])


def _rows(plain: Findings, fast: Findings | None) -> Iterator[str]:
    known = [(name, row) for name, row in ROWS.items() if name in plain.figures or name in plain.notes]
    for group, rows in groupby(known, key=lambda each: each[1].group):
        yield f"\n**{group}**\n"
        yield "| | measured | quartiles | must be | with `speed` | must be |"
        yield "|---|---:|---:|---:|---:|---:|"
        for name, row in rows:
            if name not in plain.figures:
                yield f"| {row.title} | {plain.notes[name]} | | | | |"
                continue
            found = plain.figures[name]
            cells = [_value(found, row.unit), _spread(found), _limit(name, found, speed=False)]
            faster = fast.figures.get(name) if fast else None
            cells += ["", ""] if faster is None else [_value(faster, row.unit), _limit(name, faster, speed=True)]
            yield f"| {row.title} | {' | '.join(cells)} |"


def _value(found: Figure, unit: str) -> str:
    return f"{_number(found.median)} {unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _spread(found: Figure) -> str:
    return "" if found.lower == found.upper else f"{_number(found.lower)} – {_number(found.upper)}"


def _limit(name: str, found: Figure, *, speed: bool) -> str:
    row = ROWS[name]
    limit = row.limit(speed=speed)
    if limit is None:
        return ""
    mark = "" if row.reached(found.median, speed=speed) else " **missed**"
    return f"{'≥' if row.least else '≤'} {limit:g}{mark}"


def _side_by_side(plain: Findings) -> Iterator[str]:
    """By row, everyone to the row's reference; the fastest in bold."""
    rows = {name: of for name, of in plain.peers.items() if of}
    if not rows:
        return
    names = list(dict.fromkeys(name for of in rows.values() for name in sorted(of, key=str.lower)))
    yield "\n**Side by side: the same work, to the reference of the row**\n"
    yield f"| | jwtgate | {' | '.join(names)} |"
    yield "|---|" + "---:|" * (len(names) + 1)
    for row, of in rows.items():
        sides = {"jwtgate": plain.figures[row], **of}
        least = min(side.median for side in sides.values())
        cells = [_cell(sides.get(name), least) for name in ("jwtgate", *names)]
        yield f"| {_place(row)} | {' | '.join(cells)} |"


def _cell(found: Figure | None, least: float) -> str:
    if found is None:
        return ""
    return f"**{_number(found.median)}**" if found.median == least else _number(found.median)


PLACES: Final = {"cold": "never seen", "warm": "seen", "refused": "refused", "dpop": "DPoP", "http": "server"}


def _place(row: str) -> str:
    first, _, rest = row.partition(".")
    return f"{PLACES.get(first, first)}: {ROWS[row].title.partition(', to one bare')[0]}" if rest else ROWS[row].title


# --- the picture ----------------------------------------------------------------------------------------------------

WIDTH, LEFT, RIGHT, BAR = 900, 170, 70, 17
OWN, OWN_FAST, OTHER, GRID, INK = "#2f6db3", "#7fb2e5", "#c9c5ba", "#e2dfd8", "#33312e"
STYLE: Final = f"""text{{font:13px system-ui,sans-serif;fill:{INK}}}.h{{font-weight:600}}.s{{font-size:11px}}
.e{{text-anchor:end}}line{{stroke:{GRID}}}"""
DRAWN: Final = {
    "cold.RS256": "RS256, a token that was never seen: times of one bare verification",
    "cold.ES256": "ES256, a token that was never seen: times of one bare verification",
    "warm.fresh": "RS256, a token that was seen before: times of one bare verification",
}


def draw(plain: Findings, fast: Findings | None) -> str:
    """Everyone's cost in some rows, as an SVG document."""
    parts: list[str] = []
    y = 10
    for row, title in DRAWN.items():
        bars = _bars(row, plain, fast)
        if bars:
            y = _lane(parts, y, title, bars)
    size = f'viewBox="0 0 {WIDTH} {y}"'
    label = "What each library takes for a token, in times of one bare verification"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}">'
    back = f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", back, *parts, "</svg>", ""])


def _bars(row: str, plain: Findings, fast: Findings | None) -> list[tuple[str, float, str]]:
    """(name, value, colour), the least first."""
    if row not in plain.figures:
        return []
    bars = [(name, found.median, OTHER) for name, found in plain.peers.get(row, {}).items()]
    bars.append(("jwtgate", plain.figures[row].median, OWN))
    if fast is not None and row in fast.figures:
        bars.append(("jwtgate[speed]", fast.figures[row].median, OWN_FAST))
    return sorted(bars, key=lambda bar: bar[1])


def _lane(parts: list[str], y: int, title: str, bars: list[tuple[str, float, str]]) -> int:
    scale = (WIDTH - LEFT - RIGHT) / max(1.0, *(value for _, value, _ in bars))
    parts.append(f'<text x="{LEFT}" y="{y + 16}" class="h">{title}</text>')
    top = y + 26
    bottom = top + len(bars) * (BAR + 5)
    parts.append(f'<line x1="{LEFT + scale:.1f}" y1="{top}" x2="{LEFT + scale:.1f}" y2="{bottom}"/>')
    for place, (name, value, colour) in enumerate(bars):
        at = top + place * (BAR + 5)
        parts.append(f'<text x="{LEFT - 8}" y="{at + 13}" class="e">{name}</text>')
        parts.append(f'<rect x="{LEFT}" y="{at}" width="{value * scale:.1f}" height="{BAR}" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + value * scale + 6:.1f}" y="{at + 13}" class="s">{_number(value)}</text>')
    return bottom + 20


# --- the page -------------------------------------------------------------------------------------------------------


def on_page(page: str, figures: str) -> str:
    """The page with these figures between its marks. Raises ValueError where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page must have {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{figures.strip()}\n\n{END}{after}"


def publish(whole: Mapping[str, Any]) -> None:
    """Keep the figures, and write them onto the page and into its picture."""
    plain, fast = of_both(whole)
    KEPT.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    PICTURE.write_text(draw(plain, fast), encoding="utf-8")
    figures = f"{described(whole['machine'])}\n{tables(plain, fast)}"
    PAGE.write_text(on_page(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")


def of_both(whole: Mapping[str, Any]) -> tuple[Findings, Findings | None]:
    """The findings without the extra `speed`, and with it."""
    return Findings.from_json(whole["plain"]), Findings.from_json(whole["speed"]) if whole["speed"] else None
