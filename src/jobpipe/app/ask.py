"""What a verb about stored jobs asks: one value for a store of our own and for a service.

A store runs the operation; a service is sent the requests of the exchange. Both come to the same
value. Who asks does not know which of the two answers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from jobpipe.delivery.hub import Hint
from jobpipe.store.port import Operation

S = TypeVar("S")
T = TypeVar("T")


Method: TypeAlias = Literal["GET", "POST", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to a service, and the type of its answer."""

    method: Method = "GET"
    path: str
    """From the root of the service; what it is filled in with is quoted."""
    answer: Any
    """None where the answer has no body."""
    tells_status: bool = False
    """The answer is a pair: its status, and what its body says."""
    query: Mapping[str, object] = field(default_factory=dict)
    """Parameters; those that are None are left out."""
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    """Sent twice it does what it does once, so it may be sent again when no answer came. A GET
    always is."""
    delay_seconds: float = 0.0
    """How much later than now it is sent."""
    patience_seconds: float = 0.0
    """How much longer than at once the service may take, because it was asked to wait."""


Exchange: TypeAlias = Generator[Request, Any, T]
"""Yields requests, receives their answers as the types that they name, returns what they say."""


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask(Generic[S, T]):
    """One question or order."""

    operation: Operation[S] | None
    """None where the application knows by itself, and ``value`` tells."""
    exchange: Callable[[], Exchange[T]]
    """Starts a fresh exchange."""
    value: Callable[[S], T] = _same
    """What the operation's result comes to; may raise."""
    hint: Callable[[S], Hint] | None = None
    """What to ring on the hub when the operation has been committed."""


Asked: TypeAlias = Ask[Any, T]
"""An ask by what it comes to."""


def one(request: Request, value: Callable[[Any], T]) -> Callable[[], Exchange[T]]:
    """Return the exchange of one request, whose answer ``value`` turns into what is returned."""

    def exchange() -> Exchange[T]:
        return value((yield request))

    return exchange
