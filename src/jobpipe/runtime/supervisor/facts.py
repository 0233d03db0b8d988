"""What a child tells its supervisor of the settings and tasks of its application."""

from __future__ import annotations

from dataclasses import replace

from jobpipe.config.settings import Settings
from jobpipe.runtime.supervisor.messages import Facts, LossRule
from jobpipe.tasks.registry import Registry


def facts_of(settings: Settings, registry: Registry, url: str, is_shared: bool) -> Facts:
    """Return the facts; ``url`` leads to the store from any folder."""
    rules = {}
    for task in registry:
        spec = task.spec
        if spec.retry_delays is not None or spec.on_loss != "retry":
            delays = None if spec.retry_delays is None else str(spec.retry_delays)
            rules[spec.name] = LossRule(delays, spec.on_loss)
    return Facts(
        url=url,
        pooler=settings.pooler,
        listen_url=settings.listen_url,
        schema=settings.schema,
        table_prefix=settings.table_prefix,
        is_shared=is_shared,
        lease_seconds=settings.lease_seconds,
        pulse_seconds=settings.pulse_seconds,
        shutdown_seconds=settings.shutdown_seconds,
        retry_delays=str(settings.retry_delays),
        max_payload=settings.max_payload,
        processes=settings.processes,
        max_seconds=settings.max_seconds,
        max_memory=settings.max_memory,
        health_port=settings.health_port,
        rules=rules,
    )


def store_settings(own: Settings, facts: Facts) -> Settings:
    """Return the supervisor's settings with the way to the store as a child told it."""
    return replace(
        own,
        url=facts.url,
        pooler=facts.pooler,
        listen_url=facts.listen_url,
        schema=facts.schema,
        table_prefix=facts.table_prefix,
    )
