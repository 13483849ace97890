"""How any command writes: whole lines, and a little colour where somebody looks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

GOOD, BAD, STRONG, QUIET = "green", "bold red", "bold", "dim"


def console() -> Console:
    """Standard output. NO_COLOR, when set to anything, means no escape sequence at all (https://no-color.org)."""
    return Console(color_system=None if os.environ.get("NO_COLOR") else "auto", highlight=False)


def line(console: Console, text: str = "", style: str = "") -> None:
    """As it is: no markup is read in it. A pipe or a copying mouse gets one line."""
    console.print(Text(text, style), soft_wrap=True)


def aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
