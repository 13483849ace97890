"""Canaries: every secret that comes into the library is known, and whatever the library says is searched for it.

`python -m pytest -p tests.conformance.canaries` does so through a whole run of tests, and fails each test in which one
was seen. Secrets are what a request carries to prove itself (tokens, DPoP proofs), and what the settings hold (shared
secrets, nonce keys, decryption keys, passwords of a store), and every private key that is made. What is searched: all
log records from DEBUG on, every refusal's header lines and body, every error that a test catches, with its chain, every
explanation, and what was written to stderr.
"""

from __future__ import annotations

import base64
import functools
import logging
import re
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

PIECE: Final = 12  # characters: of a longer secret, 23 in a row are seen, and sometimes fewer
LETTERS: Final = 4  # different ones: `aaaa…` is found wherever somebody has written a lot
LONG: Final = 4_096  # characters
PASSWORD: Final = 8  # characters of a password; a shorter one would be found by chance
_RUN: Final = re.compile(rf"[!-~]{{{PIECE},}}")
# What could be somebody's token, or a part of it: an address or a word that was sent in its place is no secret.
_TOKEN: Final = re.compile(r"[A-Za-z0-9_\-.=+/~]{24,}")


class Canaries:
    """Texts that nobody may see again, by what they are. planted, searched: how many secrets, and how many texts."""

    def __init__(self) -> None:
        self._pieces: dict[str, str] = {}
        self._whole: dict[str, str] = {}
        self.planted = 0
        self.searched = 0

    def plant(self, what: str, secret: object) -> None:
        """A secret: text, bytes, or an object of the members of a JWK. What is shorter than 12 characters is none."""
        if isinstance(secret, Mapping):
            for name in ("d", "p", "q", "dp", "dq", "qi", "k"):
                self.plant(f"{what}, {name}", secret.get(name))
        elif isinstance(secret, str | bytes) and len(secret) >= PIECE:
            self.planted += 1
            # Of what is very long, the beginning and the end: to take it all to pieces would cost more than the test.
            for part in [secret] if len(secret) <= LONG else [secret[: LONG // 2], secret[-LONG // 2 :]]:
                for form in _forms(part):
                    self._add(what, form)

    def plant_token(self, what: str, sent: object) -> None:
        """What was sent as a token or a proof, or as some of them."""
        for token in _TOKEN.findall(sent if isinstance(sent, str) else ""):
            self.plant(what, token)

    def plant_password(self, what: str, password: object) -> None:
        """One that is looked for as a whole."""
        text = password.decode() if isinstance(password, bytes) else password
        if isinstance(text, str) and len(text) >= PASSWORD:
            self.planted += 1
            self._whole[text] = what

    def _add(self, what: str, text: str) -> None:
        for run in _RUN.findall(text):
            if len(run) < 2 * PIECE:
                self._whole[run] = what
            else:
                self._pieces.update((run[at : at + PIECE], what) for at in range(0, len(run) - PIECE + 1, PIECE))

    def seen_in(self, text: str) -> dict[str, int]:
        """What of it stands in this text, and where."""
        self.searched += 1
        found = {}
        for secret, what in self._whole.items():
            if secret in text and len(set(secret)) >= LETTERS:
                found[what] = text.index(secret)
        for run in _RUN.finditer(text):
            for at in range(run.start(), run.end() - PIECE + 1):
                piece = text[at : at + PIECE]
                if piece in self._pieces and len(set(piece)) >= LETTERS:
                    found.setdefault(self._pieces[piece], at)
        return found

    def forget(self) -> None:
        """What was planted, not how often."""
        self._pieces.clear()
        self._whole.clear()


def _forms(secret: str | bytes) -> set[str]:
    """As it may be written down."""
    octets = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
    text = octets.decode("latin-1")
    forms = {text, unquote(text)}
    if isinstance(secret, bytes):
        forms |= {octets.hex(), base64.b64encode(octets).decode(), base64.urlsafe_b64encode(octets).decode()}
    return forms


# ------------------------------------------------------------------------------------------------- through a whole run


_WATCHING: Final[list[Watch]] = []


class Watch:
    """What a run of tests plants and sees."""

    def __init__(self) -> None:
        self.canaries = Canaries()
        self.lasting = Canaries()  # private keys: they are made once, and serve many tests
        self.leaks: list[str] = []

    def look(self, where: str, text: str) -> None:
        if _WATCHING and _WATCHING[-1] is not self:
            return  # a test of this very module lets out what it has planted itself
        for what, at in (self.canaries.seen_in(text) | self.lasting.seen_in(text)).items():
            self.leaks.append(f"{what} in {where}: …{text[max(0, at - 100) : at + 100]}…")

    def look_at_error(self, error: BaseException) -> None:
        """Its text, its `repr`, its data, and all that formatting it shows, without the locals of its frames."""
        for one in chain(error):
            self.look(f"str of {type(one).__name__}", str(one))
            self.look(f"repr of {type(one).__name__}", f"{one!r} {one.args!r} {vars(one)!r}")
        self.look(f"traceback of {type(error).__name__}", told_of(error))

    def take_leaks(self) -> list[str]:
        found, self.leaks = self.leaks, []
        return found


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and all those behind it, whether or not they are shown."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]


_QUOTED_LINE: Final = re.compile(r"^    .*$", re.MULTILINE)


def told_of(error: BaseException) -> str:
    """A formatted traceback, less the lines of source that it quotes: a test may well write its secrets down."""
    return _QUOTED_LINE.sub("", "".join(traceback.format_exception(error)))


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Plant and look wherever a secret comes in and a text goes out, while it lasts."""
    with ExitStack() as stack:
        for owner, name, make in [*_of_requests(watch), *_of_settings(watch), *_exits(watch)]:
            original = getattr(owner, name)
            stack.callback(setattr, owner, name, original)
            setattr(owner, name, functools.wraps(original)(make(original)))
        _WATCHING.append(watch)
        stack.callback(_WATCHING.remove, watch)
        yield


Wrap = tuple[Any, str, Callable[[Callable[..., Any]], Callable[..., Any]]]


def _before(look: Callable[..., None]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Look at the arguments, and go on."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any, **named: Any) -> Any:
            look(*given, **named)
            return original(*given, **named)

        return wrapped

    return wrap


def _after(look: Callable[[Any], None]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Go on, and look at what came of it: at the object itself, where that is an `__init__`."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any, **named: Any) -> Any:
            result = original(*given, **named)
            look(given[0] if result is None else result)
            return result

        return wrapped

    return wrap


def _of_requests(watch: Watch) -> list[Wrap]:
    """Where what a stranger sends comes in."""
    from jwtgate import AsyncVerifier, Request, Verifier
    from jwtgate.core.compact import Unverified

    plant = watch.canaries.plant_token

    def bare(verifier: object, token: object, *_: object, **__: object) -> None:
        plant("a token", token)

    def request(request: Request) -> None:
        for name, value in _lines(request):
            if name == "authorization":
                plant("credentials", value.strip(" \t").partition(" ")[2])
            elif name == "dpop":
                plant("a proof", value)

    return [
        *((kind, name, _before(bare)) for kind in (Verifier, AsyncVerifier) for name in ("verify", "explain")),
        (Unverified, "__init__", _after(lambda made: plant("a token", made.raw))),
        (Request, "__init__", _after(request)),
    ]


def _of_settings(watch: Watch) -> list[Wrap]:
    """Where what the settings keep is put to use, and where private keys are made."""
    from jwtgate.core.decryption_keys import DecryptionKey
    from jwtgate.core.jwk import SharedSecret
    from jwtgate.core.nonces import Nonces
    from jwtgate.stores.redis import RedisStore
    from tests import making

    plant = watch.canaries.plant

    def private_key(made: Any) -> None:
        for secret in _private_parts(made):
            watch.lasting.plant("a private key", secret)

    def key(self: object, key: object, *, kid: object = None, password: object = None) -> None:
        plant("a decryption key", key)
        watch.canaries.plant_password("a key's password", password)

    def store(self: object, url: str, *_: object, **__: object) -> None:
        for password in passwords_of(url):
            watch.canaries.plant_password("a store's password", password)

    return [
        (SharedSecret, "__init__", _before(lambda self, secret: plant("a signing secret", secret))),
        (Nonces, "__init__", _before(lambda self, key, *_, **__: plant("a nonce key", key))),
        (DecryptionKey, "__init__", _before(key)),
        (RedisStore, "__init__", _before(store)),
        (rsa, "generate_private_key", _after(private_key)),
        (ec, "generate_private_key", _after(private_key)),
        (making, "_made", _after(lambda made: private_key(made.private))),
    ]


def passwords_of(url: str) -> list[str]:
    """Those in a store's URL, as they stand there and as they are meant."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    named = [value for name, value in parse_qsl(parts.query) if name.endswith("password")]
    return [form for password in (parts.password or "", *named) for form in {password, unquote(password)}]


def _lines(request: Any) -> list[tuple[str, str]]:
    try:
        return [(name.lower(), value) for name, value in request.headers if isinstance(value, str)]
    except (AttributeError, TypeError, ValueError):
        return []


def _private_parts(private: Any) -> list[bytes]:
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return [private.private_bytes_raw()]
    # The lines in the middle of the PEM: the first ones say what kind of key it is, and are the same in all.
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).splitlines()
    numbers = private.private_numbers()
    secret = [numbers.d, numbers.p, numbers.q] if isinstance(private, rsa.RSAPrivateKey) else [numbers.private_value]
    return [b"\n".join(pem[2:-2]), *(number.to_bytes((number.bit_length() + 7) // 8) for number in secret)]


def _exits(watch: Watch) -> list[Wrap]:
    from jwtgate import Examination
    from jwtgate.core.errors import Refusal

    def refusal(made: Refusal) -> None:
        watch.look("an answer", f"{made.headers} {made.body!r}")

    def examination(made: Examination) -> None:
        watch.look("an explanation", made.to_json())
        watch.look("the repr of an explanation", repr(made))

    def caught(context: Any, kind: object, error: BaseException | None, *_: object) -> None:
        if error is not None and type(error).__module__.startswith("jwtgate."):
            watch.look_at_error(error)

    enabled = logging.Logger.isEnabledFor

    def every_level(original: Callable[..., bool]) -> Callable[..., bool]:
        return lambda logger, level: _is_watched(logger) or original(logger, level)

    def handle(original: Callable[..., None]) -> Callable[..., None]:
        def handled(logger: logging.Logger, record: logging.LogRecord) -> None:
            if _is_watched(logger):
                watch.look(f"the log of {record.name}", _logged(record))
            # The tests see those records alone that they asked for.
            if enabled(logger, record.levelno):
                original(logger, record)

        return handled

    return [
        (Refusal, "__init__", _after(refusal)),
        (Examination, "__init__", _after(examination)),
        (pytest.RaisesExc, "__exit__", _before(caught)),
        (logging.Logger, "isEnabledFor", every_level),
        (logging.Logger, "handle", handle),
    ]


def _is_watched(logger: logging.Logger) -> bool:
    # Those of others say what they are sent; of httpx and the servers, never an Authorization line.
    return logger.name.partition(".")[0] in (
        "jwtgate",
        "httpx",
        "httpcore",
        "uvicorn",
        "asyncio",
        "concurrent",
        "redis",
    )


def _logged(record: logging.LogRecord) -> str:
    known = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}
    extra = {name: value for name, value in vars(record).items() if name not in known}
    error = record.exc_info[1] if record.exc_info else None
    return f"{record.getMessage()} {record.args!r} {extra!r} {'' if error is None else told_of(error)}"


# ---------------------------------------------------------------------------------------------------------- the plugin

_WATCH: Final = Watch()
_PATCHES: Final = ExitStack()


# These measure time, which planting and searching takes; or they put tokens into claims, which an explanation tells.
_LEFT_OUT: Final = re.compile(r"cost|benchmark|only_our_exceptions")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = {item for item in items if _LEFT_OUT.search(item.nodeid.partition("[")[0])}
    config.hook.pytest_deselected(items=[*left_out])
    items[:] = [item for item in items if item not in left_out]


def pytest_configure() -> None:
    _PATCHES.enter_context(watching(_WATCH))


def pytest_unconfigure() -> None:
    _PATCHES.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """After each phase of a test. What is left by a thread that outlives its test is told with the next one."""
    report = yield
    for title, text in report.sections:
        if "stderr" in title or "log" in title:
            _WATCH.look(f"the {title.lower()} of the test", text)
    leaks = _WATCH.take_leaks()
    if leaks:
        report.outcome = "failed"
        report.longrepr = "\n".join([f"a secret was seen {len(leaks)} times", *leaks[:20]])
    if report.when == "teardown":
        _WATCH.canaries.forget()
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    planted = _WATCH.canaries.planted + _WATCH.lasting.planted
    terminalreporter.write_line(f"canaries: {planted:,} secrets, {_WATCH.canaries.searched:,} texts searched for them")
