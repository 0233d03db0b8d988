"""What an application does with batches, chains and flows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from jobpipe.app import asks, flow_asks
from jobpipe.app.flow_views import FlowView, MemberView, flow_view, member_view
from jobpipe.app.handing import call_handing
from jobpipe.errors import JobCancelled, JobFailed
from jobpipe.model.flow import FlowKind, FlowRecord, FlowState, PlanStored, Policy, Role
from jobpipe.model.job import JobRecord
from jobpipe.runtime import waiting
from jobpipe.runtime.context import current_job
from jobpipe.tasks.codec import decode_result
from jobpipe.tasks.flow import Flow, Node, add_links
from jobpipe.tasks.growth import RunningFlow
from jobpipe.tasks.options import refusal
from jobpipe.tasks.registry import DeclaredTask
from jobpipe.tasks.task import AnyTask, Call
from jobpipe.verbs.asking import Asking


class Flows(Asking):
    """The verbs about jobs that belong together."""

    if TYPE_CHECKING:  # the application has them

        def call_named(
            self, name: str, args: Mapping[str, Any] | Sequence[Any] = (), **options: Any
        ) -> Call[Any]: ...
        def task_named(self, name: str) -> DeclaredTask: ...

    def batch(
        self,
        calls: Iterable[Call[Any]] = (),
        *,
        name: str | None = None,
        on_success: Call[Any] | None = None,
        on_failure: Call[Any] | None = None,
        on_done: Call[Any] | None = None,
        policy: str = Policy.SKIP,
        deadline: timedelta | float | None = None,
    ) -> Flow:
        """Return a batch of calls, to be stored by ``enqueue()``.

        When all of its jobs have ended, ``on_success`` runs if all have succeeded, ``on_failure``
        if not, and ``on_done`` in any case: each exactly once. ``policy`` and ``deadline`` as in
        ``flow``.
        """
        callbacks = _callbacks(on_success, on_failure, on_done)
        batch = Flow(
            self, FlowKind.BATCH, name, policy=policy, deadline=deadline, callbacks=callbacks
        )
        if not isinstance(calls, Iterable):
            raise refusal("calls", calls, "a list of calls: [task.call(...), ...]")
        for call in calls:
            batch.add(call)
        return batch

    def chain(
        self,
        *links: Call[Any] | AnyTask[..., Any] | Flow,
        name: str | None = None,
        on_success: Call[Any] | None = None,
        on_failure: Call[Any] | None = None,
        on_done: Call[Any] | None = None,
        deadline: timedelta | float | None = None,
    ) -> Flow:
        """Return a chain, to be stored by ``enqueue()``: each link runs after the one before.

        A link that is a task gets the result of the link before as its first argument. A link that
        is a call (``task.call(...)``) says with ``previous`` where that result goes, if anywhere.
        """
        callbacks = _callbacks(on_success, on_failure, on_done)
        chain = Flow(self, FlowKind.CHAIN, name, deadline=deadline, callbacks=callbacks)
        return add_links(chain, links)

    def flow(
        self,
        name: str | None = None,
        *,
        policy: str = Policy.SKIP,
        deadline: timedelta | float | None = None,
        on_success: Call[Any] | None = None,
        on_failure: Call[Any] | None = None,
        on_done: Call[Any] | None = None,
    ) -> Flow:
        """Return a flow without nodes, to be filled by ``add`` and stored by ``enqueue()``.

        ``policy`` says what a failed or cancelled node does: ``skip`` cancels what comes after it,
        ``cancel`` all that is left, ``continue`` nothing. At the ``deadline``, counted from the
        enqueue, what is left is cancelled.
        """
        callbacks = _callbacks(on_success, on_failure, on_done)
        return Flow(
            self, FlowKind.FLOW, name, policy=policy, deadline=deadline, callbacks=callbacks
        )

    def current_flow(self) -> RunningFlow:
        """Return the flow of the job that this code runs for, to add to it.

        Raises LookupError outside of a task, ConfigError where a service answers.
        """
        job = current_job()
        return RunningFlow(self, job.id, job.token)

    def call_handing(
        self,
        name: str,
        args: Mapping[str, Any] | Sequence[Any],
        results: Mapping[str, Node[Any]],
        **options: Any,
    ) -> Call[Any]:
        """Return a checked call by the task's name for a flow, as ``call_named`` does.

        ``results`` says by JSON pointers into the arguments where the results of nodes go.
        Raises UnknownTask, InvalidArguments.
        """
        if not results:
            return self.call_named(name, args, **options)
        return call_handing(self.task_named(name), args, results, options)

    # Looking and steering by id

    def flow_view(self, id: int) -> FlowView:
        """Return all that is shown of a flow; raises FlowNotFound."""
        return flow_view(self.read_flow(id))

    async def aflow_view(self, id: int) -> FlowView:
        """Return all that is shown of a flow; raises FlowNotFound."""
        return flow_view(await self.aread_flow(id))

    def flows(
        self, *, state: str | None = None, limit: int = 50, before: int | None = None
    ) -> list[FlowView]:
        """List flows, newest first; ``before`` is the last id of the page before."""
        return [flow_view(each) for each in self._ask(flow_asks.flows(limit, before, state))]

    async def aflows(
        self, *, state: str | None = None, limit: int = 50, before: int | None = None
    ) -> list[FlowView]:
        """List flows like ``flows``."""
        found = await self._aask(flow_asks.flows(limit, before, state))
        return [flow_view(each) for each in found]

    def flow_members(self, id: int, *, limit: int = 50, after: int = 0) -> list[MemberView]:
        """List the nodes and callbacks of a flow by id; ``after`` is the last id of a page."""
        return [member_view(each) for each in self._ask(flow_asks.members(id, limit, after))]

    async def aflow_members(self, id: int, *, limit: int = 50, after: int = 0) -> list[MemberView]:
        """List the nodes and callbacks of a flow like ``flow_members``."""
        found = await self._aask(flow_asks.members(id, limit, after))
        return [member_view(each) for each in found]

    def read_flow(self, id: int) -> FlowRecord:
        """Read a flow; raises FlowNotFound."""
        return self._ask(flow_asks.flow(id))

    async def aread_flow(self, id: int) -> FlowRecord:
        """Read a flow; raises FlowNotFound."""
        return await self._aask(flow_asks.flow(id))

    def cancel_flow(self, id: int) -> FlowRecord:
        """Have all that is left of a flow cancelled; raises FlowNotFound, InvalidTransition."""
        return self._ask(flow_asks.cancel(id))

    async def acancel_flow(self, id: int) -> FlowRecord:
        """Cancel a flow like ``cancel_flow``."""
        return await self._aask(flow_asks.cancel(id))

    def rerun_flow(self, id: int) -> FlowRecord:
        """Run anew what failed in a flow, or was cancelled; what has succeeded stays.

        Raises FlowNotFound; InvalidTransition when there is nothing of the kind, or nodes of
        it are gone.
        """
        return self._ask(flow_asks.rerun(id))

    async def arerun_flow(self, id: int) -> FlowRecord:
        """Re-run a flow like ``rerun_flow``."""
        return await self._aask(flow_asks.rerun(id))

    # What handles call

    def store_flow(self, flow: Flow, on: object | None) -> PlanStored:
        """Store a flow."""
        return self._access.compose(flow, on)

    async def astore_flow(self, flow: Flow, on: object | None) -> PlanStored:
        """Store a flow."""
        return await self._access.acompose(flow, on)

    def grow_flow(self, job_id: int, token: int, nodes: Sequence[Node[Any]]) -> list[int]:
        """Add to the flow of a running job."""
        return self._access.store("current_flow()").grow(job_id, token, nodes)

    async def agrow_flow(self, job_id: int, token: int, nodes: Sequence[Node[Any]]) -> list[int]:
        """Add to the flow of a running job."""
        return await self._access.store("current_flow()").agrow(job_id, token, nodes)

    def flow_result(self, flow: Flow, timeout: float | None) -> Any:
        """Wait for the end of a flow and return the results of its nodes."""
        record = waiting.until(lambda: _ended(self.read_flow(flow.id)), f"flow {flow.id}", timeout)
        _check(flow, record)
        wanted = _wanted(flow)
        return _value(flow, {node: self._ask(asks.job(node.id)) for node in wanted})

    async def flow_aresult(self, flow: Flow, timeout: float | None) -> Any:  # noqa: ASYNC109
        """Wait like ``flow_result``, without blocking the event loop."""

        async def look() -> FlowRecord | None:
            return _ended(await self.aread_flow(flow.id))

        _check(flow, await waiting.auntil(look, f"flow {flow.id}", timeout))
        wanted = _wanted(flow)
        return _value(flow, {node: await self._aask(asks.job(node.id)) for node in wanted})


def _callbacks(
    on_success: Call[Any] | None, on_failure: Call[Any] | None, on_done: Call[Any] | None
) -> dict[Role, Call[Any] | None]:
    return {Role.ON_SUCCESS: on_success, Role.ON_FAILURE: on_failure, Role.ON_DONE: on_done}


def _ended(record: FlowRecord) -> FlowRecord | None:
    return None if record.state is FlowState.RUNNING else record


def _check(flow: Flow, record: FlowRecord) -> None:
    flow.seen(record)
    if record.state is FlowState.SUCCEEDED:
        return
    harm = f"{record.failed} failed, {record.cancelled} cancelled of {record.total}"
    if record.state is FlowState.CANCELLED:
        raise JobCancelled(f"{flow!r} was cancelled: {record.ending or 'a node was'} ({harm})")
    raise JobFailed(
        f"{flow!r} failed: {harm}",
        help=f"`jobpipe flow show {flow.id}` tells which; mend the cause, then re-run the flow.",
    )


def _wanted(flow: Flow) -> list[Node[Any]]:
    """Return the nodes whose results are the flow's: jobs, also those of flows inside."""
    wanted: list[Node[Any]] = []
    for node in flow.nodes[-1:] if flow.kind is FlowKind.CHAIN else flow.nodes:
        wanted += _wanted(node.what) if isinstance(node.what, Flow) else [node]
    return wanted


def _value(flow: Flow, records: dict[Node[Any], JobRecord]) -> Any:
    values = []
    for node in flow.nodes[-1:] if flow.kind is FlowKind.CHAIN else flow.nodes:
        if isinstance(node.what, Flow):
            values.append(_value(node.what, records))
        else:
            text = records[node].result
            values.append(decode_result(node.what.signature, "null" if text is None else text))
    if flow.kind is FlowKind.CHAIN:
        return values[0] if values else None
    return values
