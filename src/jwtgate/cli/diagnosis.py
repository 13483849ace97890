"""What an issuer's answers say about the settings, in words: each check a function, from values to findings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from jwtgate.core.compact import parse_json
from jwtgate.core.discovery import METADATA_DEPTH, METADATA_MEMBERS
from jwtgate.core.errors import SettingsError, listed, shown
from jwtgate.core.jwk import ASYMMETRIC, KeySet
from jwtgate.core.key_state import SOFT_AGE, soft_age
from jwtgate.core.settings import Issuer
from jwtgate.core.values import LOOPBACK, check_url
from jwtgate.verifier import TOTAL_SECONDS

from .probe import Answer, Cause, NoAnswer

Read = Callable[[Collection[str]], KeySet]
Verdict = Literal["good", "note", "warning", "fault"]

SLOW = 1.0  # seconds for one document; a verifier gives up after TOTAL_SECONDS
CLOCK = 5.0  # seconds of difference that are worth a look
OLD = 300.0  # seconds that a cache on the way may have kept an answer

PROXY_VARIABLES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
CA_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
ON_THE_WAY: Final = ("via", "x-cache", "cf-cache-status")  # by these, what stands between tells of itself


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    said: what was found; advice: what to change, empty where nothing is; data: the same as values.
    """

    check: str
    verdict: Verdict
    said: str
    advice: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


# -------------------------------------------------------------------------------------------------------- no answer

ADVICE: Final[Mapping[Cause, str]] = {
    "name": "This name is not known here: look at its spelling in the settings, and at this machine's DNS.",
    "certificate": (
        "The certificate is not trusted here. Where a proxy opens TLS, or the issuer has a CA of its own: name that CA"
        " in SSL_CERT_FILE."
    ),
    "refused": "Nothing listens there: look at host and port, and whether the issuer runs.",
    "proxy": "The proxy did not let it pass: look at HTTPS_PROXY, or except this host by NO_PROXY.",
    "deadline": (
        f"A verifier gives up after {TOTAL_SECONDS:g} s too. Look for a firewall that swallows the request, or a proxy"
        " that should be used."
    ),
    "too_large": "This is no metadata or key set: look at the address.",
    "encoding": "The server, or a proxy before it, compresses what was asked for without compression: switch that off.",
    "request": "The connection broke: look whether this host can reach that one at all, and over TLS.",
}


def unanswered(check: str, failure: NoAnswer) -> Finding:
    """There was no answer."""
    data = {"url": failure.url, "cause": failure.cause}
    return Finding(check, "fault", f"no answer from {failure.url}: {failure.reason}", ADVICE[failure.cause], data)


def misanswered(check: str, answer: Answer) -> Finding:
    """There was an answer, but with another status than 200."""
    data = {"url": answer.url, "status": answer.status, "seconds": round(answer.seconds, 3)}
    return Finding(check, "fault", f"{answer.url} answered {answer.status}", _advice_for(answer), data)


def _advice_for(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        target = shown(answer.headers.get("location", "elsewhere"))
        return f"Redirects are not followed. It leads to {target}: if that is the issuer's, name it in the settings."
    if answer.status == 429:
        pause = answer.headers.get("retry-after")
        wait = f", and says to wait {shown(pause)}" if pause else ""
        return f"The issuer limits requests{wait}. Look for what asks so often: a verifier asks once in minutes."
    if answer.status in (401, 403, 407):
        return "Keys are public: this is a firewall or a proxy, or not the address."
    if answer.status >= 500:
        return "The issuer is in trouble. Keys that are known serve on for 24 h; a snapshot helps a cold start."
    return "Nothing is there: is this the issuer's URL? Else name metadata_url or jwks_uri in the settings."


# ------------------------------------------------------------------------------------------------------ its metadata


def read_metadata(answer: Answer) -> tuple[Mapping[str, Any] | None, Finding]:
    """The metadata, None where it is none, and what to say of it."""
    data = {"url": answer.url, "seconds": round(answer.seconds, 3)}
    try:
        metadata = parse_json(answer.octets, depth=METADATA_DEPTH, members=METADATA_MEMBERS)
    except ValueError:
        metadata = None
    if isinstance(metadata, Mapping):
        return metadata, Finding("metadata", "good", f"{answer.url} answered in {answer.seconds:.2f} s", "", data)
    advice = "A login page or a proxy's page may stand there: open the address, and name the right one as metadata_url."
    return None, Finding("metadata", "fault", f"{answer.url} is no JSON object, in strict JSON", advice, data)


def issuer_spelling(issuer: Issuer, metadata: Mapping[str, Any]) -> Finding:
    """RFC 8414 section 3.3: the name in the metadata and in the settings must be identical."""
    stated = metadata.get("issuer")
    data = {"configured": issuer.url, "stated": stated}
    if stated == issuer.url:
        return Finding("issuer", "good", f"it calls itself {shown(stated)}, as the settings do", "", data)
    if not isinstance(stated, str):
        return Finding("issuer", "fault", "its metadata names no issuer", "Is this an authorization server?", data)
    said = f"it calls itself {shown(stated)}, the settings say {shown(issuer.url)}: {difference(stated, issuer.url)}"
    advice = f"Write it as its tokens do: Issuer({shown(stated)})."
    if issuer.of_domain:
        advice = f"Write the domain that tokens are asked for at; or, to trust this one: Issuer({shown(stated)})."
    return Finding("issuer", "fault", said, advice, data)


def difference(stated: str, configured: str) -> str:
    """How two spellings of an issuer differ, as far as that is easily overlooked."""
    if stated.removesuffix("/") == configured.removesuffix("/"):
        return "they differ by the slash at the end"
    if stated.casefold() == configured.casefold():
        return "they differ by upper and lower case"
    if urlsplit(stated)._replace(scheme="") == urlsplit(configured)._replace(scheme=""):
        return "one is http and the other https"
    return "another issuer"


def keys_address(issuer: Issuer, metadata: Mapping[str, Any]) -> tuple[str | None, list[Finding]]:
    """The `jwks_uri` in the metadata, None where it is not fit, and what to say of it."""
    url = metadata.get("jwks_uri")
    try:
        check_url("jwks_uri", url, allow_http=issuer.allow_http, query=True)
    except SettingsError as error:
        advice = "With allow_http=True, plain http is taken, in a network that nobody else can read."
        told = advice if isinstance(url, str) and url.startswith("http:") else "Its metadata must name the keys' place."
        return None, [Finding("jwks_uri", "fault", f"the metadata's {error}", told, {"jwks_uri": url})]
    there, here = urlsplit(str(url)).hostname, urlsplit(issuer.url).hostname
    if there == here:
        return str(url), []
    said = f"the keys are on another host than the issuer: {there}"
    return str(url), [Finding("jwks_uri", "note", said, "", {"jwks_uri": url})]


# ---------------------------------------------------------------------------------------------------------- its keys


def keys(algorithms: Collection[str], read: Read) -> Iterator[Finding]:
    """Which keys can be used for the algorithms in the settings, and which cannot, and why.

    read: the key set for some algorithms; raises ValueError where it has none for any.
    """
    try:
        found = read(algorithms)
    except ValueError as error:
        yield _unusable(read, str(error))
        return
    names = listed(found.kids) if found.kids else "without names"
    yield Finding("keys", "good", f"for {', '.join(sorted(algorithms))}: {names}", "", {"kids": list(found.kids)})
    for algorithm in sorted(algorithms):
        if not _fits(algorithm, read):
            advice = "Take it out of signing_algorithms, unless the issuer is about to use it."
            yield Finding("algorithms", "warning", f"no key is for {algorithm}", advice, {"algorithm": algorithm})
    yield from _doubtful(found)


def _unusable(read: Read, reason: str) -> Finding:
    fitting = [algorithm for algorithm in sorted(ASYMMETRIC) if _fits(algorithm, read)]
    advice = "Is this the address of a JWK Set?"
    if fitting:
        advice = f"Its keys are for {', '.join(fitting)}: set signing_algorithms to the one that the API is set to."
    return Finding("keys", "fault", reason.removesuffix(": "), advice, {"kids": [], "fitting_algorithms": fitting})


def _fits(algorithm: str, read: Read) -> bool:
    try:
        read([algorithm])
    except ValueError:
        return False
    return True


def _doubtful(found: KeySet) -> Iterator[Finding]:
    for reason in found.skipped:
        yield Finding("keys", "note", f"not used: {reason}", "", {"skipped": reason})
    named = {jwk["kid"] for jwk in found.published if "kid" in jwk}
    for kid in sorted(named - set(found.kids)):
        advice = "Tokens that name it are refused: the issuer must give each key a kid of its own."
        yield Finding("keys", "fault", f"several keys are called {shown(kid)}", advice, {"ambiguous": kid})


# ------------------------------------------------------------------------------------------------ around the answers


def clock(answer: Answer, leeway: float) -> Finding:
    """RFC 9110 section 6.6.1: `Date` is when the answer was made; section 5.1 of RFC 9111: `Age`, how long ago."""
    try:
        made = parsedate_to_datetime(answer.headers["date"]).timestamp() + _age(answer)
    except (KeyError, ValueError):
        return Finding("clock", "note", "the issuer does not say what time it is")
    # Whole seconds in `Date`, and somewhere between question and answer.
    ahead = answer.asked_at + answer.seconds / 2 - (made + 0.5)
    data = {"ahead": round(ahead, 1), "leeway": leeway}
    if abs(ahead) <= CLOCK:
        return Finding("clock", "good", f"this machine's differs from the issuer's by less than {CLOCK:g} s", "", data)
    said = f"this machine's is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the issuer's"
    effect = "Tokens end too early" if ahead > 0 else "New tokens seem to come from the future, and are refused"
    advice = f"{effect}, beyond the {leeway:g} s that leeway forgives. Let the machine's clock follow a time server."
    return Finding("clock", "fault" if abs(ahead) > leeway else "warning", said, advice, data)


def latency(answers: Iterable[Answer]) -> Finding:
    """How long the slowest document took."""
    slowest = max(answers, key=lambda answer: answer.seconds)
    data = {"seconds": round(slowest.seconds, 3)}
    said = f"the slowest document took {slowest.seconds:.2f} s"
    if slowest.seconds < SLOW:
        return Finding("latency", "good", said, "", data)
    advice = f"After {TOTAL_SECONDS:g} s a verifier gives up. Warm it up before traffic, and keep a snapshot."
    return Finding("latency", "warning", said, advice, data)


def caching(answer: Answer) -> Iterator[Finding]:
    """What the issuer says about how long its keys are fresh, and what is made of it."""
    said, fresh_for = answer.headers.get("cache-control", ""), soft_age(answer.headers.get("cache-control", ""))
    data = {"cache_control": said, "fresh_for": fresh_for, "age": _age(answer)}
    words = f"Cache-Control is {shown(said)}" if said else "no Cache-Control"
    asked = f"{words}: keys are asked for again every {fresh_for:.0f} s"
    yield Finding("cache", "good" if fresh_for == SOFT_AGE else "note", asked, "", data)
    if _age(answer) > OLD:
        advice = "A key that the issuer withdraws is accepted for so much longer: let that cache keep it for less."
        yield Finding("cache", "warning", f"a cache on the way had the keys for {_age(answer):.0f} s", advice, data)


def _age(answer: Answer) -> float:
    stated = answer.headers.get("age", "")
    return float(stated) if stated.isascii() and stated.isdigit() else 0.0


def on_the_way(answers: Sequence[Answer]) -> Iterator[Finding]:
    """What stands between, as far as it tells of itself."""
    told = {name: answer.headers[name] for answer in answers for name in ON_THE_WAY if name in answer.headers}
    if told:
        words = ", ".join(f"{name}: {shown(value)}" for name, value in told.items())
        yield Finding("proxy", "note", f"the answers come through others: {words}", "", told)


def transport(issuer: Issuer) -> Iterator[Finding]:
    """Whether the addresses in the settings have TLS."""
    for url in dict.fromkeys(filter(None, (issuer.url, issuer.metadata_url, issuer.jwks_uri))):
        if urlsplit(url).scheme == "http" and urlsplit(url).hostname not in LOOPBACK:
            advice = "Whoever is on the way can put in keys of their own. Use https, but in a network that is yours."
            yield Finding("transport", "warning", f"{url} has no TLS", advice, {"url": url})


def surroundings(url: str, proxy: str | None, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What this machine's environment does to the way there. proxy: the one that would be used."""
    host = urlsplit(url).hostname or ""
    if proxy is not None and host in LOOPBACK:
        advice = f"A proxy does not reach this machine's own {host}: set NO_PROXY={host}."
        yield Finding("proxy", "warning", f"{url} goes through {_bare(proxy)}", advice, {"proxy": _bare(proxy)})
    elif proxy is not None:
        said = f"{host} is reached through {_bare(proxy)}, from {' or '.join(PROXY_VARIABLES)}"
        yield Finding("proxy", "note", said, "", {"proxy": _bare(proxy)})
    for name in CA_VARIABLES:
        if environ.get(name) and url.startswith("https:"):
            yield Finding("tls", "note", f"certificates are trusted by {name}", "", {"variable": name})


def _bare(proxy: str) -> str:
    """A proxy's address without the name and password in it, whether or not it is written as a URL."""
    before, _, rest = proxy.rpartition("@")
    scheme, separator, _ = before.partition("://")
    return f"{scheme}://{rest}" if separator and scheme.isalnum() else rest
