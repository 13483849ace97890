"""Which paths of an app are public, and what the others require: for middleware, which stands before the routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from .access import Requirement, all_of
from .errors import SettingsError
from .request import Request


@dataclass(frozen=True, slots=True)
class Verdict:
    """public: no token is needed, and none is looked at. requirement: what a token must satisfy; None: any will do."""

    public: bool = False
    requirement: Requirement | None = None


PUBLIC: Final = Verdict(public=True)
ANY_TOKEN: Final = Verdict()

# Characters, decoded and as sent: to read a longer odd path in all its ways costs more than it is worth, and so it must
# meet every requirement there is.
LONGEST: Final = 4_096

# Characters, decoded and as sent: of longer paths no verdict is remembered. REMEMBERED: verdicts of one set of rules.
SHORT: Final = 256
REMEMBERED: Final = 1_024

# What servers, proxies and apps may read in different ways: empty and dot segments, `\` for `/`, `;` with parameters,
# control characters, and what a second decoding would change.
_ODD: Final = re.compile(r"//|(?:\A|/)\.{1,2}(?:/|\Z)|[\\;\x00-\x1f\x7f]|%[0-9a-f]{2}", re.IGNORECASE)
_ODD_RAW: Final = re.compile(r"%(?:2f|5c)", re.IGNORECASE)
# Where a path may end a segment, for one reader or another; and what lets one leave out whole segments.
_SEPARATOR: Final = re.compile(r"[/\\\x00-\x1f\x7f]")
_SHRINKING: Final = re.compile(r"(?:\A|[/\\])\.\.(?:[/\\]|\Z)|[;\x00-\x1f\x7f]")
# A template such as /users/{id} would silently cover nothing, and so would a query.
_NO_PATTERN: Final = re.compile(r"[{}<>?#]")


class PathRules:
    """public: paths that need no token. requires: by path, a requirement or several, all of which a token must satisfy.

    Both are compared with the decoded path below `root_path`, case and all. A final `/*` stands for all that is below:
    in `public`, "/static/*" opens what begins with "/static/"; in `requires`, "/admin/*" covers "/admin" too, and
    "/admin" covers "/admin/". Where several match, all their requirements hold, and a path that is both is not public.

    A path that can be read in more than one way (`//`, `.` and `..` segments, `\\`, `;`, encoded slashes) is never
    public, and must satisfy whatever any of its readings could require.

    Raises SettingsError for a pattern that could never match, and for a bad requirement.
    """

    __slots__ = ("_demands", "_exact", "_recall", "_subtrees", "everywhere")

    def __init__(
        self,
        public: Iterable[str] = (),
        requires: Mapping[str, Requirement | str | Sequence[Requirement | str]] | None = None,
    ) -> None:
        opened = _patterns("public", public)
        self._exact = frozenset(pattern for pattern in opened if not pattern.endswith("/*"))
        self._subtrees = tuple(pattern[:-1] for pattern in opened if pattern.endswith("/*"))
        self._demands = tuple(_demands({} if requires is None else requires))
        # The verdict on every path, whatever it looks like, where no path has rules.
        self.everywhere: Verdict | None = None if opened or self._demands else ANY_TOKEN
        # An app has few paths, and the verdict on each stays. Whoever asks for many others pushes out what is unused.
        self._recall = lru_cache(REMEMBERED)(self._judge)

    def decide(self, path: str, raw_path: bytes | None = None, root_path: str = "") -> Verdict:
        """What stands before this path.

        path: decoded, as the app routes on it, with `root_path` at its beginning or without; raw_path: as the client
        sent it, where that is known: encoded slashes are visible in it alone.
        """
        sent = path if raw_path is None else raw_path.partition(b"?")[0].decode("latin-1")
        judge = self._recall if len(path) <= SHORT and len(sent) <= SHORT else self._judge
        return judge(path, sent, root_path)

    def _judge(self, path: str, sent: str, root_path: str) -> Verdict:
        """Of these three alone, so that it can be remembered."""
        routed = below(path, root_path)
        public = False
        if not _is_odd(routed, path, sent):
            found = [demand.requirement for demand in self._demands if demand.covers(routed)]
            public = routed in self._exact or routed.startswith(self._subtrees)
        elif max(len(path), len(sent)) > LONGEST:
            found = [demand.requirement for demand in self._demands]
        else:
            outlines = [_Outline(routed), _Outline(below(unquote(sent), root_path))]
            found = [demand.requirement for demand in self._demands if any(map(demand.may_cover, outlines))]
        if found:
            return Verdict(requirement=all_of(*found))
        return PUBLIC if public else ANY_TOKEN


def below(path: str, root_path: str) -> str:
    """The path that an app which is mounted at `root_path` routes on."""
    # A root path is taken away at a segment's end only, as Starlette does it.
    if root_path and path.startswith(root_path) and path[len(root_path) : len(root_path) + 1] in ("", "/"):
        return path[len(root_path) :]
    return path


def is_preflight(request: Request) -> bool:
    """Whether a browser asks if it may send a request from another origin (Fetch standard, CORS-preflight request).

    It carries no credentials. So one that does is no preflight, and is authenticated.
    """
    asked = request.values("access-control-request-method")
    origins = request.values("origin")
    # WSGI servers join repeated lines with a comma, and neither value has one of its own.
    single = len(asked) == len(origins) == 1 and "," not in f"{asked[0]}{origins[0]}"
    return request.method == "OPTIONS" and single and not request.values("authorization")


class _Outline:
    """A path of several readings: split and decoded as far as anybody would. shrinks: some would leave segments out."""

    __slots__ = ("segments", "shrinks")

    def __init__(self, path: str) -> None:
        text = unquote(path)
        names = (segment.partition(";")[0] for segment in _SEPARATOR.split(text))
        self.segments = [name for name in names if name not in ("", ".")]
        self.shrinks = _SHRINKING.search(text) is not None


@dataclass(frozen=True, slots=True)
class _Demand:
    """base: a path without a slash at its end; subtree: whether all below it is covered too."""

    base: str
    subtree: bool
    requirement: Requirement

    def covers(self, path: str) -> bool:
        # Routers may take /admin/ for /admin: a requirement must not be lost on the way.
        return path.rstrip("/") == self.base or (self.subtree and path.startswith(f"{self.base}/"))

    def may_cover(self, path: _Outline) -> bool:
        """Whether some reader of this path would be covered."""
        base = self.base.split("/")[1:]
        if path.shrinks:
            # `..` takes segments away, and a parameter may hide some. So whatever is left stands here in its order.
            rest = iter(path.segments)
            return all(segment in rest for segment in base)
        return path.segments == base or (self.subtree and path.segments[: len(base)] == base)


def _demands(requires: Mapping[str, Requirement | str | Sequence[Requirement | str]]) -> Iterator[_Demand]:
    if not isinstance(requires, Mapping):
        raise SettingsError("requires", "must map paths to requirements", requires)
    for pattern, wanted in requires.items():
        _check("requires", pattern)
        subtree = pattern.endswith("/*")
        together = (wanted,) if isinstance(wanted, Requirement | str) else wanted
        if not isinstance(together, Sequence):
            raise SettingsError("requires", f"{pattern} must have a requirement, a name, or a list of them", wanted)
        yield _Demand(pattern.removesuffix("*").rstrip("/"), subtree, all_of(*together))


def _patterns(setting: str, patterns: Iterable[str]) -> tuple[str, ...]:
    if isinstance(patterns, str | bytes) or not isinstance(patterns, Iterable):
        raise SettingsError(setting, "must be a list of paths", patterns)
    listed = tuple(patterns)
    for pattern in listed:
        _check(setting, pattern)
    return listed


def _check(setting: str, pattern: object) -> None:
    if not isinstance(pattern, str) or not pattern.startswith("/"):
        raise SettingsError(setting, "a path must begin with /", pattern)
    if "*" in pattern.removesuffix("/*"):
        raise SettingsError(setting, "a * may only stand at the end, as /*", pattern)
    if _ODD.search(pattern) or _NO_PATTERN.search(pattern):
        rule = "a path must be decoded and plain: no template, query, dot or empty segment, backslash or semicolon"
        raise SettingsError(setting, rule, pattern)


def _is_odd(routed: str, path: str, sent: str) -> bool:
    if not routed.startswith("/") or _ODD.search(path):
        return True
    return sent != path and (_ODD_RAW.search(sent) is not None or _ODD.search(unquote(sent)) is not None)
