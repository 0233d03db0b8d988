"""Tasks that write in a process of their own."""

from __future__ import annotations

import inspect

from jobpipe import Tasks, current_job

tasks = Tasks()


@tasks.task(name="put", executor="process")
def put(sql: str) -> None:
    with current_job().transaction() as connection:
        connection.execute(sql)
        current_job().log.info("inside")
        current_job().set_result("put")


@tasks.task(name="aput", executor="process")
async def aput(sql: str) -> None:
    async with current_job().transaction() as connection:
        written = connection.execute(sql)
        if inspect.isawaitable(written):
            await written
        current_job().log.info("inside")
        current_job().set_result("put")
