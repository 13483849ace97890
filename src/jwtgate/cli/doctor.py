"""`jwtgate doctor`: hold the settings against reality, and say in words what to change."""

from __future__ import annotations

import importlib
import os
import sys
import urllib.request
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from rich.console import Console

from jwtgate.core.discovery import METADATA_BYTES, metadata_urls
from jwtgate.core.effects import FetchFailed, ReadFile
from jwtgate.core.errors import SettingsError
from jwtgate.core.jwk import read_jwks
from jwtgate.core.keys import JWKS_BYTES
from jwtgate.core.settings import ApiSettings, Issuer, Policy
from jwtgate.verifier.fetching import read_file, tls

from . import diagnosis
from .diagnosis import Finding
from .lines import BAD, GOOD, QUIET, STRONG, line
from .probe import Answer, NoAnswer, ask
from .token import issuer_of

FAULTY = 1  # exit status
STYLES: Final = {"good": GOOD, "note": QUIET, "warning": "yellow", "fault": BAD}

Findings = Iterator[Finding]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found out about one issuer."""

    issuer: str
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Will its tokens be accepted? Warnings do not prevent that."""
        return all(finding.verdict != "fault" for finding in self.findings)


def run(console: Console, settings: ApiSettings, *, as_json: bool = False) -> int:
    """Look at every issuer, print, and return the exit status: 0, or 1 where something must be changed."""
    with httpx.Client(verify=tls()) as http:
        reports = [Report(issuer.url, tuple(examine(http, issuer, settings))) for issuer in settings.issuers]
    healthy = all(report.healthy for report in reports)
    if as_json:
        issuers = [{**asdict(report), "healthy": report.healthy} for report in reports]
        console.print_json(data={"healthy": healthy, "issuers": issuers}, ensure_ascii=True)
    else:
        _show(console, reports, asks_resolver=settings.resolver is not None)
    return 0 if healthy else FAULTY


# --------------------------------------------------------------------------------------------- whose settings these are


def settings_of(
    *, named: str | None, issuer: str | None, domain: str | None, algorithms: Sequence[str], allow_http: bool
) -> ApiSettings:
    """Those of an application, of the options, or of the environment. Raises SettingsError."""
    if named:
        return _named(named)
    if not (issuer or domain):
        return ApiSettings.from_env()
    # No token is looked at, so that whose API this is does not matter.
    return ApiSettings(
        identifier="doctor",
        issuers=[issuer_of(issuer, domain, allow_http=allow_http)],
        signing_algorithms=algorithms or ("RS256",),
    )


def _named(place: str) -> ApiSettings:
    """Of `module:name`, as servers name an app."""
    module, _, name = place.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError("settings", f"must be module:name, and be there: {error}", place) from error
    if not isinstance(found, ApiSettings):
        raise SettingsError("settings", f"must name ApiSettings, got {type(found).__name__}", place)
    return found


# --------------------------------------------------------------------------------------------------- the examination


def examine(http: httpx.Client, issuer: Issuer, settings: ApiSettings) -> Findings:
    """What is worth saying about this issuer and its settings."""
    policy = settings.policy_of(issuer)
    if settings.secret_of(issuer) is not None:
        yield Finding("keys", "good", "HS256 with the API's secret: nothing is fetched")
    elif isinstance(issuer.jwks, bytes):
        yield from diagnosis.keys(policy.algorithms, partial(issuer.read_keys, issuer.jwks))
        yield Finding("keys", "note", "they stand in the settings: a key that the issuer adds is not seen")
    elif issuer.jwks_file is not None:
        yield from _in_file(issuer, policy)
    else:
        yield from _over_network(http, issuer, policy)


def _in_file(issuer: Issuer, policy: Policy) -> Findings:
    path = str(issuer.jwks_file)
    try:
        octets = read_file(ReadFile(path, JWKS_BYTES)).octets
    except FetchFailed as failure:
        yield Finding("keys", "fault", f"{path}: {failure.reason}", "Write it before the API starts.", {"path": path})
        return
    yield from diagnosis.keys(policy.algorithms, partial(issuer.read_keys, octets))


def _over_network(http: httpx.Client, issuer: Issuer, policy: Policy) -> Findings:
    yield from diagnosis.transport(issuer)
    yield from diagnosis.surroundings(issuer.url, proxy_for(issuer.jwks_uri or issuer.discovery_url), os.environ)
    answers: list[Answer] = []
    jwks_uri = issuer.jwks_uri or (yield from _discover(http, issuer, answers))
    if jwks_uri is not None:
        yield from _fetch_keys(http, issuer, policy, jwks_uri, answers)
    if answers:
        yield diagnosis.clock(answers[-1], policy.leeway)
        yield diagnosis.latency(answers)
        yield from diagnosis.on_the_way(answers)


def _discover(http: httpx.Client, issuer: Issuer, answers: list[Answer]) -> Generator[Finding, None, str | None]:
    """Where its keys are, as far as its metadata can be had."""
    try:
        answer = _first_answer(http, metadata_urls(issuer))
    except NoAnswer as failure:
        yield diagnosis.unanswered("metadata", failure)
        return None
    answers.append(answer)
    if answer.status != 200:
        yield diagnosis.misanswered("metadata", answer)
        return None
    metadata, finding = diagnosis.read_metadata(answer)
    yield finding
    if metadata is None:
        return None
    yield diagnosis.issuer_spelling(issuer, metadata)
    url, findings = diagnosis.keys_address(issuer, metadata)
    yield from findings
    return url


def _first_answer(http: httpx.Client, urls: Sequence[str]) -> Answer:
    """Of both well-known addresses, as a verifier goes through them. Where neither is good, of the first."""
    answers = []
    for url in urls:
        answers.append(ask(http, url, METADATA_BYTES))
        if not 400 <= answers[-1].status < 500 or answers[-1].status == 429:
            return answers[-1]
    return answers[0]


def _fetch_keys(http: httpx.Client, issuer: Issuer, policy: Policy, url: str, answers: list[Answer]) -> Findings:
    try:
        answer = ask(http, url, JWKS_BYTES)
    except NoAnswer as failure:
        yield diagnosis.unanswered("jwks", failure)
        return
    answers.append(answer)
    if answer.status != 200:
        yield diagnosis.misanswered("jwks", answer)
        return
    data = {"url": url, "seconds": round(answer.seconds, 3)}
    yield Finding("jwks", "good", f"{url} answered in {answer.seconds:.2f} s", "", data)
    read = partial(read_jwks, answer.octets, alg_binds=issuer.jwk_alg_binds)
    yield from diagnosis.keys(policy.algorithms, read)
    yield from diagnosis.caching(answer)


def proxy_for(url: str) -> str | None:
    """The proxy that this machine's environment names for an address."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


# ------------------------------------------------------------------------------------------------- what is printed


def _show(console: Console, reports: Sequence[Report], *, asks_resolver: bool) -> None:
    for report in reports:
        line(console, report.issuer, STRONG)
        for finding in report.findings:
            line(console, f"  {finding.verdict:<8} {finding.check:<10} {finding.said}", STYLES[finding.verdict])
            if finding.advice:
                line(console, f"{'':22}{finding.advice}")
        line(console)
    if asks_resolver:
        line(console, "A resolver names further issuers: look at one of them with --issuer.", QUIET)
    faults = sum(finding.verdict == "fault" for report in reports for finding in report.findings)
    told = "Nothing must be changed." if not faults else f"{faults} to change before tokens are accepted."
    line(console, told, GOOD if not faults else BAD)
