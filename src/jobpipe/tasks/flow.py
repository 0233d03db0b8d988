"""Jobs that belong together: a batch, a chain, or a flow whose nodes come after each other.

A ``Flow`` is put together first and stored at once by ``enqueue()``; from then on it is the handle
of what was stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Generic, Protocol, Self, TypeAlias, TypeVar, cast, overload

from msgspec.structs import replace

from jobpipe.errors import InvalidArguments
from jobpipe.model.flow import FlowKind, FlowRecord, FlowState, Need, PlanStored, Policy, Role
from jobpipe.tasks import spec
from jobpipe.tasks.codec import show
from jobpipe.tasks.handing import Handed, Places
from jobpipe.tasks.options import refusal
from jobpipe.tasks.task import AnyTask, Call

R = TypeVar("R")

POLICIES = tuple(policy.value for policy in Policy)


class FlowVerbs(Protocol):
    """What an application does for its flows, in pairs."""

    def store_flow(self, flow: Flow, on: object | None) -> PlanStored: ...
    async def astore_flow(self, flow: Flow, on: object | None) -> PlanStored: ...
    def read_flow(self, id: int) -> FlowRecord: ...
    async def aread_flow(self, id: int) -> FlowRecord: ...
    def cancel_flow(self, id: int) -> FlowRecord: ...
    async def acancel_flow(self, id: int) -> FlowRecord: ...
    def rerun_flow(self, id: int) -> FlowRecord: ...
    async def arerun_flow(self, id: int) -> FlowRecord: ...
    def flow_result(self, flow: Flow, timeout: float | None) -> Any: ...
    async def flow_aresult(self, flow: Flow, timeout: float | None) -> Any: ...  # noqa: ASYNC109


class Node(Generic[R]):
    """A part of a flow: a job, or a flow inside of it. ``R`` is the type of its result."""

    def __init__(self, what: Call[R] | Flow, needs: Mapping[Node[Any], Need]) -> None:
        self.what = what
        self.needs = dict(needs)
        """What it comes after, and which end of that it waits for."""
        self.places: list[tuple[str, Node[Any]]] = []
        """Where in its arguments the results of others go."""
        self._id: int | None = None

    def __repr__(self) -> str:
        name = self.what.name or "flow" if isinstance(self.what, Flow) else self.what.spec.name
        return f"<Node {name}{'' if self._id is None else f' {self._id}'}>"

    @property
    def id(self) -> int:
        """The id of its job, or of its flow; raises InvalidArguments before the enqueue."""
        if self._id is None:
            raise InvalidArguments(
                f"{self!r} has no id yet",
                help="Enqueue the flow first: that is when ids are given.",
            )
        return self._id

    @property
    def result(self) -> R:
        """Stands for its result in the arguments of calls that are added to the same flow."""
        if isinstance(self.what, Flow):
            raise InvalidArguments(
                f"{self!r} is a flow, which has no result to hand on",
                help="Hand on the results of its jobs, or store what they make and read it.",
            )
        return cast(R, Handed(self))

    def stored(self, id: int) -> None:
        """Remember the id (for the application)."""
        self._id = id


Part: TypeAlias = "Call[Any] | Flow"


class Flow:
    """Nodes that are stored together; see ``jp.batch``, ``jp.chain`` and ``jp.flow``."""

    def __init__(
        self,
        verbs: FlowVerbs,
        kind: FlowKind,
        name: str | None,
        *,
        policy: str = Policy.SKIP,
        deadline: timedelta | float | None = None,
        callbacks: Mapping[Role, Call[Any] | None] | None = None,
    ) -> None:
        if name is not None and not spec.is_name(name):
            raise refusal("name", name, spec.NAME_ALLOWED)
        if policy not in POLICIES:
            raise refusal("policy", policy, ", ".join(POLICIES))
        self.kind, self.name, self.policy = kind, name, Policy(policy)
        self.deadline_us = _deadline(deadline)
        self.nodes: list[Node[Any]] = []
        self._own_nodes: set[Node[Any]] = set()
        self.callbacks = {role: call for role, call in (callbacks or {}).items() if call}
        for role, callback in (callbacks or {}).items():
            if callback is not None and (not _is_call(callback) or callback.handed):
                raise refusal(role, callback, "a call of a task, to which nothing is handed on")
        self._verbs = verbs
        self._stored: PlanStored | None = None
        self._id: int | None = None
        self._state = FlowState.RUNNING
        self._is_inside = False

    def __repr__(self) -> str:
        what = f" {self.name}" if self.name else ""
        return f"<{self.kind}{what}{'' if self._id is None else f' {self._id} {self._state}'}>"

    @property
    def id(self) -> int:
        """The id; raises InvalidArguments before the enqueue."""
        if self._id is None:
            raise InvalidArguments(f"{self!r} is not stored yet", help="Enqueue it first.")
        return self._id

    @property
    def state(self) -> FlowState:
        """The state as last read: running, succeeded, failed or cancelled."""
        return self._state

    # Putting together

    @overload
    def add(
        self,
        what: Call[R],
        *,
        after: Iterable[Node[Any]] = (),
        after_any: Iterable[Node[Any]] = (),
    ) -> Node[R]: ...

    @overload
    def add(
        self,
        what: Flow,
        *,
        after: Iterable[Node[Any]] = (),
        after_any: Iterable[Node[Any]] = (),
    ) -> Node[Any]: ...

    def add(
        self,
        what: Call[R] | Flow,
        *,
        after: Iterable[Node[Any]] = (),
        after_any: Iterable[Node[Any]] = (),
    ) -> Node[R]:
        """Add a call, or another flow that is not stored yet; returns the new node.

        It runs when the nodes in ``after`` have succeeded, and those in ``after_any`` have ended
        in whatever way. It also comes after each node whose result it is handed. Raises
        InvalidArguments for nodes of another flow, and once this flow is stored.
        """
        if self._stored is not None or self._id is not None:
            raise InvalidArguments(
                f"{self!r} is stored already",
                help="While it runs, its own jobs add to it: jp.current_flow().add(...).",
            )
        _check_part(self, what)
        usual = Need.ANY if self.policy is Policy.CONTINUE else Need.SUCCESS
        handed: Places = () if isinstance(what, Flow) else what.handed
        needs = {self._own(place.node): usual for _, place in handed}
        needs |= {self._own(node): usual for node in listed("after", after)}
        needs |= {self._own(node): Need.ANY for node in listed("after_any", after_any)}
        node: Node[R] = Node(what, needs)
        node.places = [(pointer, self._own(place.node)) for pointer, place in handed]
        if isinstance(what, Flow):
            what._is_inside = True
        self.nodes.append(node)
        self._own_nodes.add(node)
        return node

    def _own(self, node: object) -> Node[Any]:
        if node is None:
            raise InvalidArguments("`previous` stands only in the links of a chain but the first")
        node = as_node(node)
        if node not in self._own_nodes:
            raise InvalidArguments(
                f"{node!r} belongs to another flow",
                help="Nodes come after nodes of their own flow.",
            )
        return node

    # Storing

    def enqueue(self, on: object | None = None) -> Self:
        """Store it with all its jobs, or nothing of it; in the transaction of ``on`` if given."""
        return self._keep(self._verbs.store_flow(self._fresh(), on))

    async def aenqueue(self, on: object | None = None) -> Self:
        """Store it like ``enqueue``, without blocking the event loop."""
        return self._keep(await self._verbs.astore_flow(self._fresh(), on))

    def _fresh(self) -> Flow:
        if self._id is not None or self._is_inside:
            raise InvalidArguments(
                f"{self!r} is stored already, or a node of another flow",
                help="Make a new one for each enqueue.",
            )
        return self

    def _keep(self, stored: PlanStored) -> Self:
        self._stored = stored
        self.take_ids(iter(stored.flows), iter([job.id for job in stored.jobs]))
        return self

    def take_ids(self, flows: Any, jobs: Any) -> None:
        """Give the nodes their ids, in the order of the plan (for the flow around it)."""
        self._id = next(flows)
        for node in self.nodes:
            if isinstance(node.what, Flow):
                node.what.take_ids(flows, jobs)
                node.stored(node.what.id)
            else:
                node.stored(next(jobs))
        for _ in self.callbacks:
            next(jobs)

    # The handle

    def progress(self) -> dict[str, int]:
        """Read how many nodes it has, and how many have ended in which way."""
        return counts(self.seen(self._verbs.read_flow(self.id)))

    async def aprogress(self) -> dict[str, int]:
        """Read like ``progress``, without blocking the event loop."""
        return counts(self.seen(await self._verbs.aread_flow(self.id)))

    def result(self, timeout: float | None = None) -> Any:
        """Wait for its end; return the results of its nodes in order, a chain's that of the last.

        Raises JobFailed, JobCancelled, or WaitTimeout after ``timeout`` seconds.
        """
        return self._verbs.flow_result(self, timeout)

    async def aresult(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """Wait like ``result``, without blocking the event loop."""
        return await self._verbs.flow_aresult(self, timeout)

    def cancel(self) -> Self:
        """Have all that is left of it cancelled; what runs is asked to stop."""
        self.seen(self._verbs.cancel_flow(self.id))
        return self

    async def acancel(self) -> Self:
        """Cancel like ``cancel``, without blocking the event loop."""
        self.seen(await self._verbs.acancel_flow(self.id))
        return self

    def rerun(self) -> Self:
        """Run anew what failed or was cancelled; what has succeeded stays."""
        self.seen(self._verbs.rerun_flow(self.id))
        return self

    async def arerun(self) -> Self:
        """Re-run like ``rerun``, without blocking the event loop."""
        self.seen(await self._verbs.arerun_flow(self.id))
        return self

    def seen(self, record: FlowRecord) -> FlowRecord:
        """Remember what was read (for the application)."""
        self._state = record.state
        return record


def listed(option: str, nodes: Iterable[object]) -> Iterable[object]:
    """Return what an option lists; raises InvalidArguments when it is no list."""
    if not isinstance(nodes, Iterable):
        raise refusal(option, nodes, "a list of nodes, which `add` has returned")
    return nodes


def as_node(node: object) -> Node[Any]:
    """Return a node; raises InvalidArguments for anything else."""
    if not isinstance(node, Node):
        raise InvalidArguments(f"{show(node)} is no node", help="Pass what `add` has returned.")
    return node


def counts(record: FlowRecord) -> dict[str, int]:
    """Return how many nodes there are, and how many have ended in which way."""
    ended = record.succeeded + record.failed + record.cancelled
    return {
        "total": record.total,
        "succeeded": record.succeeded,
        "failed": record.failed,
        "cancelled": record.cancelled,
        "left": record.total - ended,
    }


def add_links(chain: Flow, links: Sequence[AnyTask[..., Any] | Part]) -> Flow:
    """Put the links of a chain behind each other.

    A task is handed the result of the link before as its first argument; a call says by
    ``previous`` where that goes, if anywhere.
    """
    before: list[Node[Any]] = []
    for link in links:
        what: Part = (
            link.call(*[node.result for node in before]) if isinstance(link, AnyTask) else link
        )
        if isinstance(what, Call) and before:
            what = _with_previous(what, before[0])
        before = [chain.add(what, after=before)]
    return chain


def _with_previous(call: Call[Any], before: Node[Any]) -> Call[Any]:
    if not any(place.node is None for _, place in call.handed):
        return call
    result = cast(Handed, before.result)
    places = tuple(
        (pointer, result if place.node is None else place) for pointer, place in call.handed
    )
    return replace(call, handed=places)


def _check_part(flow: Flow, what: object) -> None:
    if isinstance(what, Flow):
        if what is flow or what._id is not None or what._is_inside:
            raise InvalidArguments(f"{what!r} is stored already, or a node of another flow")
        if not what.nodes:
            raise InvalidArguments(
                f"{what!r} has no node", help="A flow inside of another needs one at least."
            )
    elif not isinstance(what, Call):
        raise InvalidArguments(
            f"a flow is made of calls of tasks, not of {show(what)}",
            help="Write task.call(...): it asks for a job, while task(...) runs the function.",
        )


def _is_call(what: object) -> bool:
    return isinstance(what, Call)


def _deadline(value: timedelta | float | None) -> int | None:
    if value is None:
        return None
    span = spec.seconds(value)
    if span is None or span < 1e-6:
        raise refusal("deadline", value, "seconds above 0 (at most 100 years), or a timedelta")
    return round(span * 1_000_000)
