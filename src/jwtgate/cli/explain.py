"""`jwtgate explain`: what this API would make of a token, check by check, and what to change."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import typer
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from jwtgate.core.access import Requirement, all_of
from jwtgate.core.errors import SettingsError
from jwtgate.core.examination import Examination, Finding
from jwtgate.core.request import Request
from jwtgate.core.rules import time_of
from jwtgate.core.settings import ApiSettings
from jwtgate.core.values import LOOPBACK
from jwtgate.verifier import Verifier

from .lines import BAD, GOOD, QUIET, STRONG, aligned, line

ACCEPTED, NOT_ACCEPTED = 0, 1  # exit statuses
LIMIT = 2 * 1024 * 1024  # bytes of standard input that are read: more than any API takes
NARROW = 100  # columns; below that, a table of five is all line breaks
SHOWN = 100  # characters of a value
HEADINGS: Final = ("status", "check", "expected", "found", "section")
STYLES: Final = {"passed": GOOD, "failed": BAD, "not_reached": QUIET}
VERDICTS: Final = {"accepted": ("Accepted", GOOD), "refused": ("Refused", BAD), "undecided": ("Undecided", STRONG)}

# option → the variables whose place it takes, the one that it sets first. It speaks for itself: the others are unset.
OPTIONS: Final[Mapping[str, Sequence[str]]] = {
    "--domain": ("AUTH0_DOMAIN", "JWTGATE_ISSUERS"),
    "--issuer": ("JWTGATE_ISSUERS", "AUTH0_DOMAIN"),
    "--identifier": ("AUTH0_AUDIENCE", "API_IDENTIFIER"),
    "--algorithm": ("JWTGATE_SIGNING_ALGORITHMS",),
    "--profile": ("JWTGATE_PROFILE",),
    "--permissions-in-token": ("JWTGATE_PERMISSIONS_IN_TOKEN",),
    "--leeway": ("JWTGATE_LEEWAY",),
}

# The head of a request as tools print it: `> Authorization: Bearer …`, `-H 'Authorization: …'`, or the value alone.
_HEADER = re.compile(
    r"^\W*(?:-H\W+)?authorization:[ \t]*(?P<value>[^\r\n'\"]*)|^(?P<bare>bearer +[^\r\n]*)",
    re.IGNORECASE | re.MULTILINE,
)


def run(
    console: Console,
    sent: str,
    settings: ApiSettings,
    require: Sequence[str] = (),
    *,
    offline: bool = False,
    as_json: bool = False,
) -> int:
    """Examine what was sent, print, and return the exit status: 0 where it is accepted, else 1.

    sent: a token, or Authorization header lines. Raises SettingsError for a requirement that could never be met.
    """
    requirement: Requirement | None = all_of(*require) if require else None
    with _client(settings) as http:
        found = examined(Verifier(settings, http=http), sent, requirement, offline=offline)
    if as_json:
        # ASCII, also on a terminal: what a token says may hold control characters.
        console.print_json(found.to_json(), ensure_ascii=True)
    else:
        show(console, found)
    return ACCEPTED if found.verdict == "accepted" else NOT_ACCEPTED


def examined(verifier: Verifier, sent: str, requirement: Requirement | None, *, offline: bool) -> Examination:
    """What the verifier says of a token, or of the head of a request."""
    values = [(match["value"] or match["bare"] or "").rstrip() for match in _HEADER.finditer(sent)]
    if not values:
        return verifier.explain(sent.strip(), requirement, offline=offline)
    # Method and URL do not matter to a bearer token.
    request = Request("GET", "https://api.invalid/", [("Authorization", value) for value in values])
    return verifier.explain_request(request, requirement, offline=offline)


def settings_of(given: Mapping[str, str | None], environ: Mapping[str, str] | None = None) -> ApiSettings:
    """The environment's settings, with options in the place of variables. Raises SettingsError, which names the option.

    given: option to text, None where it was not given.
    """
    variables = dict(os.environ if environ is None else environ)
    for option, value in given.items():
        if value is not None:
            first, *others = OPTIONS[option]
            variables[first] = value
            for other in others:
                variables.pop(other, None)
    try:
        return ApiSettings.from_env(variables)
    except SettingsError as error:
        named = next((f"{option} (" for option, places in OPTIONS.items() if places[0] == error.setting), "")
        raise SettingsError(f"{named}{error.setting}{named and ')'}", error.rule, error.actual) from None


def read(token: str) -> str:
    """The token: as it was given, or from standard input for `-`, which keeps it out of the shell's history."""
    if token != "-":
        return token
    if sys.stdin.isatty():
        return str(typer.prompt("Token", hide_input=True, err=True))
    return sys.stdin.buffer.read(LIMIT).decode("utf-8", "replace")


def _client(settings: ApiSettings) -> httpx.Client:
    # A proxy that the environment names knows nothing of this machine's loopback.
    near = all(urlsplit(issuer.url).hostname in LOOPBACK for issuer in settings.issuers)
    return httpx.Client(trust_env=not near)


# ------------------------------------------------------------------------------------------------ what is printed


def show(console: Console, examination: Examination) -> None:
    """For people and, in a pipe, for tools: there, nothing is cut, wrapped or coloured."""
    word, style = VERDICTS[examination.verdict]
    line(console, f"{word}: {examination.summary}", style)
    if examination.advice:
        line(console, examination.advice)
    line(console)
    # What was not reached and has nothing to show goes into one line.
    shown = [finding for finding in examination.findings if _worth_a_line(finding)]
    missed = [finding.name for finding in examination.findings if not _worth_a_line(finding)]
    if not examination.verified and len(shown) > 1:
        line(console, "Unverified: the signature was not checked, so anybody may have written what was found.", STRONG)
        line(console)
    _show_findings(console, shown)
    if missed:
        line(console)
        line(console, f"Not reached: {', '.join(missed)}.", QUIET)
    _show_others(console, examination)


def _worth_a_line(finding: Finding) -> bool:
    return finding.status != "not_reached" or finding.found is not None


def _show_findings(console: Console, findings: Sequence[Finding]) -> None:
    if not console.is_terminal:
        for text in aligned([HEADINGS, *map(_cells, findings)]):
            line(console, text)
    elif console.width < NARROW:
        for finding in findings:
            _show_block(console, finding)
    else:
        console.print(_table(findings))


def _show_others(console: Console, examination: Examination) -> None:
    """What would be refused next."""
    for finding in [finding for finding in examination.findings if finding.status == "failed"][1:]:
        line(console)
        line(console, f"Also: {finding.why}", BAD)
        line(console, finding.advice)


def _cells(finding: Finding) -> tuple[str, ...]:
    status = finding.status.replace("_", " ")
    return status, finding.name, finding.expected or "-", _found(finding), finding.section


_OURS: Final = ("credentials", "form", "signature_form")  # findings in words of our own
_TIMES: Final = ("expiry", "not_before", "issued_at")


def _found(finding: Finding) -> str:
    """Foreign text as JSON in ASCII, cut: no control character reaches the terminal."""
    value: Any = finding.found
    if value is None:
        return "-"
    if finding.name in _OURS:
        return str(value)
    text = json.dumps(value)
    if finding.name in _TIMES and finding.status != "not_reached" and isinstance(value, int | float):
        return f"{text} ({time_of(value)})"
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    for heading, ratio in zip(HEADINGS, (None, None, 4, 4, 2), strict=True):
        table.add_column(heading, ratio=ratio, overflow="fold", no_wrap=ratio is None)
    for finding in findings:
        status, *others = _cells(finding)
        table.add_row(Text(status, STYLES[finding.status]), *map(Text, others))
    return table


def _show_block(console: Console, finding: Finding) -> None:
    status, name, expected, found, section = _cells(finding)
    console.print(Text.assemble((status, STYLES[finding.status]), " ", (name, STRONG)))
    for word, text in (("expected", expected), ("found", found), ("section", section)):
        console.print(Padding(Text.assemble((f"{word} ", QUIET), text), (0, 0, 0, 4)))
