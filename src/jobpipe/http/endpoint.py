"""What one call of the service is: how it is asked for, who may, and what comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from starlette.responses import Response

from jobpipe.errors import JobpipeError
from jobpipe.model.role import Role

if TYPE_CHECKING:
    from jobpipe.application import Jobpipe
    from jobpipe.http.condition import Condition

PUBLIC: Final = "public"
"""Stands for the role where nobody needs one."""

BODY_MAX = 64 * 1024
"""Most bytes of a body, unless the endpoint says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that has been read and checked."""

    app: Jobpipe
    condition: Condition
    """Whether the service stops, and what ends with it."""
    principal: Principal
    path: Mapping[str, Any]
    """The parameters of the path, as its converters read them."""
    query: Any
    """As the endpoint's ``query`` declares."""
    body: Any
    """As the endpoint's ``body`` declares."""
    headers: Mapping[str, str]
    root: str
    """Where the service is mounted: what stands before its own paths."""
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent back: a value as JSON."""

    value: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Awaitable[Answer | Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path. Without a role there is no endpoint."""

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    role: Role | Literal["public"]
    handle: Handler
    summary: str
    description: str = ""
    query: type | None = None
    """A Struct whose fields are the parameters after the question mark."""
    body: type | None = None
    """A Struct, the JSON object of the body."""
    is_body_optional: bool = False
    """Nothing need be said in it."""
    body_max: int | Callable[[Jobpipe], int] = BODY_MAX
    """Most bytes of the body, known before it is read."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that it obeys, with what each means."""
    answer: Any = None
    """The type of the JSON; None where the answer is none."""
    media: str = "application/json"
    status: int = 200
    also: Mapping[int, str] = field(default_factory=dict)
    """Further good answers, with what each means."""
    errors: tuple[type[JobpipeError], ...] = ()
    """What the verb may raise."""
    is_new_work: bool = False
    """It is refused while the service stops."""
