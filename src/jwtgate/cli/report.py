"""What came of a demo: plain values, for whoever shows them."""

from __future__ import annotations

from dataclasses import dataclass

from .cases import Expected


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sample API answered.

    challenge: its WWW-Authenticate header, whole. refusal: the name of the error, None where the caller was let in.
    why: the reason as the API's own log gives it, or who was let in.
    """

    status: int
    challenge: str | None
    refusal: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Row:
    """One request with what was expected and what came."""

    sends: str
    request: str
    expected: Expected
    answer: Answer

    @property
    def as_expected(self) -> bool:
        """Status, challenge and reason are all the expected ones."""
        return self.expected == Expected(self.answer.status, self.answer.challenge, self.answer.refusal)


@dataclass(frozen=True, slots=True)
class Sample:
    """One of the APIs: where it answers, its identifier, and the settings of its page in words."""

    path: str
    identifier: str
    settings: str


@dataclass(frozen=True, slots=True)
class Try:
    """A command line for a shell, and the status that it is answered."""

    what: str
    status: int
    curl: str


@dataclass(frozen=True, slots=True)
class Report:
    """tenant, api: their URLs. tries: only where both keep running."""

    tenant: str
    api: str
    samples: tuple[Sample, ...]
    rows: tuple[Row, ...]
    tries: tuple[Try, ...]

    @property
    def met(self) -> int:
        """How many requests were answered as expected."""
        return sum(row.as_expected for row in self.rows)

    @property
    def as_expected(self) -> bool:
        return self.met == len(self.rows)
