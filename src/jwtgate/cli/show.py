"""How a report looks: a table on a terminal, plain lines in a pipe, or one JSON document."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .cases import Expected
from .lines import BAD, GOOD, QUIET, STRONG, aligned, line
from .report import Report, Row

NARROW = 72  # columns; below that, a table of four is all line breaks
HEADINGS: Final = ("request", "what is sent", "status", "challenge", "why", "verdict")


def as_json(console: Console, report: Report) -> None:
    """One JSON document; on a terminal, coloured."""
    verdict = {"as_expected": report.as_expected, "requests": len(report.rows), "answered_as_expected": report.met}
    rows = [{**asdict(row), "as_expected": row.as_expected} for row in report.rows]
    tries = {"try": [asdict(one) for one in report.tries]} if report.tries else {}
    console.print_json(
        data={
            "tenant": report.tenant,
            "api": report.api,
            "apis": [asdict(sample) for sample in report.samples],
            "rows": rows,
            **verdict,
            **tries,
        }
    )


def as_text(console: Console, report: Report) -> None:
    """For people and, in a pipe, for tools: there, nothing is cut, wrapped or coloured."""
    _show_head(console, report)
    _show_rows(console, report.rows)
    _show_summary(console, report)
    if report.tries:
        _show_tries(console, report)


def _show_head(console: Console, report: Report) -> None:
    line(console, f"Tenant {report.tenant}  Sample API {report.api}")
    line(console, "")
    for cells in aligned([(sample.path, sample.identifier, sample.settings) for sample in report.samples]):
        line(console, cells, QUIET)
    line(console, "")


def _show_rows(console: Console, rows: Sequence[Row]) -> None:
    if not console.is_terminal:
        for cells in aligned([HEADINGS, *map(_cells, rows)]):
            line(console, cells)
    elif console.width < NARROW:
        for row in rows:
            _show_block(console, row)
    else:
        console.print(_table(rows))
    if console.is_terminal:
        line(console, "Of each challenge, what a client acts on: --json has it whole.", QUIET)


def _show_summary(console: Console, report: Report) -> None:
    line(console, "")
    style = GOOD if report.as_expected else BAD
    line(console, f"{report.met} of {len(report.rows)} requests were answered as expected.", style)


def _show_tries(console: Console, report: Report) -> None:
    line(console, "")
    line(console, "Both keep running. Ctrl-C stops them. Try, in another terminal:")
    for one in report.tries:
        line(console, "")
        line(console, f"# {one.status}: {one.what}", QUIET)
        line(console, one.curl)


# ------------------------------------------------------------------------------------------------- in a pipe


def _cells(row: Row) -> tuple[str, ...]:
    answer = row.answer
    return row.request, row.sends, str(answer.status), answer.challenge or "-", answer.why, _verdict(row)


def _verdict(row: Row) -> str:
    return "as expected" if row.as_expected else f"WRONG, expected {_wanted(row.expected)}"


def _wanted(expected: Expected) -> str:
    challenge = f", {expected.challenge}" if expected.challenge else ""
    refusal = f" ({expected.refusal})" if expected.refusal else ""
    return f"{expected.status}{challenge}{refusal}"


# --------------------------------------------------------------------------------------------- on a terminal


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, leading=1, pad_edge=False)
    table.add_column("request", ratio=4, overflow="fold")
    table.add_column("status", width=6)
    table.add_column("challenge", width=18, overflow="fold")
    table.add_column("why", ratio=5, overflow="fold")
    for row in rows:
        table.add_row(_request(row), _status(row), _short(row.answer.challenge), _why(row))
    return table


def _show_block(console: Console, row: Row) -> None:
    console.print(Text.assemble(_status(row), " ", _request(row)))
    for text in filter(None, (_short(row.answer.challenge), _why(row))):
        console.print(Padding(text, (0, 0, 0, 4)))
    console.print()


def _request(row: Row) -> Text:
    return Text.assemble((row.sends, STRONG), "\n", (row.request, QUIET))


def _status(row: Row) -> Text:
    return Text(str(row.answer.status), GOOD if row.as_expected else BAD)


def _why(row: Row) -> Text:
    wrong = "" if row.as_expected else f"{_verdict(row)}\n"
    return Text.assemble((wrong, BAD), row.answer.why)


def _short(challenge: str | None) -> Text:
    """What a client acts on: the error code, and the scope to ask for. One without an error stays as it is."""
    parameters = dict(re.findall(r'(\w+)="([^"]*)"', challenge or ""))
    told = [parameters[name] for name in ("error", "scope") if name in parameters]
    return Text("\n".join(told) or challenge or "")
