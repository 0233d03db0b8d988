"""The flow of a running job, as that job sees it: it may add to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

from jobpipe.errors import InvalidArguments
from jobpipe.model.flow import Need
from jobpipe.tasks.codec import show
from jobpipe.tasks.flow import Node, as_node, listed
from jobpipe.tasks.task import Call

R = TypeVar("R")


class GrowthVerbs(Protocol):
    """What an application does for a flow that grows."""

    def grow_flow(self, job_id: int, token: int, nodes: Sequence[Node[Any]]) -> list[int]: ...
    async def agrow_flow(
        self, job_id: int, token: int, nodes: Sequence[Node[Any]]
    ) -> list[int]: ...


class RunningFlow:
    """What is added is stored at once, on its own: it stays if the attempt fails after that.

    The flow cannot end before what was added has ended.
    """

    def __init__(self, verbs: GrowthVerbs, job_id: int, token: int) -> None:
        self._verbs = verbs
        self._job_id, self._token = job_id, token

    def add(
        self,
        call: Call[R],
        *,
        after: Iterable[Node[Any]] = (),
        after_any: Iterable[Node[Any]] = (),
    ) -> Node[R]:
        """Add a job to the flow, as ``Flow.add`` does; ``after`` names nodes added here.

        Raises LeaseLost when the attempt is over, InvalidTransition when its job is no node of a
        flow.
        """
        node = _new_node(call, after, after_any)
        self._keep([node], self._verbs.grow_flow(self._job_id, self._token, [node]))
        return node

    async def aadd(
        self,
        call: Call[R],
        *,
        after: Iterable[Node[Any]] = (),
        after_any: Iterable[Node[Any]] = (),
    ) -> Node[R]:
        """Add a job like ``add``, without blocking the event loop."""
        node = _new_node(call, after, after_any)
        self._keep([node], await self._verbs.agrow_flow(self._job_id, self._token, [node]))
        return node

    def add_many(self, calls: Iterable[Call[Any]]) -> list[Node[Any]]:
        """Add many jobs that come after nothing, all or none."""
        nodes = [_new_node(call, (), ()) for call in calls]
        self._keep(nodes, self._verbs.grow_flow(self._job_id, self._token, nodes))
        return nodes

    async def aadd_many(self, calls: Iterable[Call[Any]]) -> list[Node[Any]]:
        """Add many jobs like ``add_many``, without blocking the event loop."""
        nodes = [_new_node(call, (), ()) for call in calls]
        self._keep(nodes, await self._verbs.agrow_flow(self._job_id, self._token, nodes))
        return nodes

    @staticmethod
    def _keep(nodes: Sequence[Node[Any]], ids: Sequence[int]) -> None:
        for node, id in zip(nodes, ids, strict=True):
            node.stored(id)


def _new_node(call: Call[R], after: Iterable[Node[Any]], after_any: Iterable[Node[Any]]) -> Node[R]:
    if not isinstance(call, Call):
        raise InvalidArguments(
            f"a flow is made of calls of tasks, not of {show(call)}",
            help="Write task.call(...): it asks for a job, while task(...) runs the function.",
        )
    needs: dict[Node[Any], Need] = {}
    places: list[tuple[str, Node[Any]]] = []
    for pointer, handed in call.handed:
        if not isinstance(handed.node, Node):
            raise InvalidArguments("`previous` stands only in the links of a chain")
        places.append((pointer, handed.node))
        needs[handed.node] = Need.SUCCESS
    needs |= dict.fromkeys(map(as_node, listed("after", after)), Need.SUCCESS)
    needs |= dict.fromkeys(map(as_node, listed("after_any", after_any)), Need.ANY)
    node: Node[R] = Node(call, needs)
    node.places = places
    return node
