"""What Prometheus is told: how much work there is, who does it, and what the service is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jobpipe import __version__
from jobpipe.app.overview import Overview, QueueLoad

QUEUES_MAX = 1_000
"""Queues with figures of their own; names beyond them would flood whoever collects."""

STATES = ("queued", "running", "scheduled", "retrying", "parked", "succeeded", "failed")

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Bounds of the buckets of a request's time."""


class Requests:
    """Counts what one service is asked."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        names = ["method", "path"]
        self._count = Counter(
            "jobpipe_http_requests",
            "Requests answered, by status",
            [*names, "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "jobpipe_http_request_seconds",
            "Time until a request was answered, what it waited for included",
            names,
            buckets=SECONDS,
            registry=self.registry,
        )
        self.streams = Gauge(
            "jobpipe_http_streams", "Open streams of events", registry=self.registry
        )

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count an answer; ``path`` is the endpoint's own, so there are few of them."""
        self._count.labels(method, path, str(status)).inc()
        self._seconds.labels(method, path).observe(seconds)

    def text(self, now: Overview) -> bytes:
        """Return all metrics in Prometheus's text form."""
        stored = CollectorRegistry(auto_describe=False)
        stored.register(_Stored(now))
        return generate_latest(stored) + generate_latest(self.registry)


class _Stored(Collector):
    """How things stand in the store."""

    def __init__(self, now: Overview) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        queues = self._now.queues[:QUEUES_MAX]
        yield _family("build", "The version that answers", ["version"], [([__version__], 1)])
        yield _family(
            "jobs",
            "Jobs that the store holds; what waits is counted up to 10,000 a queue and state",
            ["queue", "state"],
            [([queue.name, state], getattr(queue, state)) for queue in queues for state in STATES],
        )
        yield _family(
            "queue_oldest_wait_seconds",
            "How long the first queued job waits",
            ["queue"],
            [([queue.name], queue.oldest_wait_seconds or 0) for queue in queues],
        )
        yield _family("queue_paused", "Whether a queue is paused", ["queue"], _paused(queues))
        workers = self._now.workers
        busy = sum(worker.busy for worker in workers)
        slots = sum(worker.slots for worker in workers)
        yield _family("workers", "Workers that have not ended", [], [([], len(workers))])
        yield _family(
            "slots",
            "Slots of all workers",
            ["state"],
            [(["busy"], min(busy, slots)), (["free"], max(0, slots - busy))],
        )


def _paused(queues: Iterable[QueueLoad]) -> list[tuple[list[str], float]]:
    return [([queue.name], int(queue.paused)) for queue in queues]


def _family(
    name: str, meaning: str, labels: list[str], values: Iterable[tuple[list[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"jobpipe_{name}", meaning, labels=labels)
    for those, value in values:
        family.add_metric(those, value)
    return family
