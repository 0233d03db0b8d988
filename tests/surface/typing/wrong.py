# pyright: strict
"""Wrong uses of tasks: type checkers refuse every line marked `# wrong`, and no other."""

from __future__ import annotations

from jobpipe import Depends, Jobpipe
from jobpipe.tasks.registry import Tasks

tasks = Tasks()


@tasks.task
def add(a: int, b: int = 1) -> int:
    return a + b


@tasks.task(queue_name="mail", timeout=30.0)
async def welcome(user_id: int, *, name: str = "") -> str:
    return f"{user_id} {name}"


def arguments() -> None:
    add.enqueue()  # wrong
    add.enqueue("1")  # wrong
    add.enqueue(1, 2, 3)  # wrong
    add.enqueue(1, c=2)  # wrong
    add.enqueue(1, b="2")  # wrong
    add("1")  # wrong
    add.call(None)  # wrong
    welcome.enqueue()  # wrong
    welcome.enqueue("42")  # wrong
    welcome.enqueue(42, "Ada")  # wrong
    welcome.enqueue(42, name=1)  # wrong
    welcome.call(user=42)  # wrong


async def async_arguments() -> None:
    await add.aenqueue("1")  # wrong
    await welcome.aenqueue(name="Ada")  # wrong
    await welcome("42")  # wrong
    await add(1)  # wrong
    welcome(42)  # wrong


def results() -> None:
    text: str = add.enqueue(1).result()  # wrong
    number: int = welcome.enqueue(1).result()  # wrong
    direct: str = welcome(1)  # wrong
    print(text, number, direct)


def options() -> None:
    add.using(priority="high")  # wrong
    add.using(run_after=5)  # wrong
    add.using(colour="red")  # wrong
    add.using(tags=[1])  # wrong
    add.using(priority=5).enqueue("1")  # wrong
    welcome.using(priority=5).enqueue()  # wrong
    tasks.task(colour="red")  # wrong
    tasks.task(priority="high")  # wrong
    tasks.task(executor="fiber")  # wrong
    tasks.task(on_loss="shrug")  # wrong
    tasks.task(retry_on=("ValueError",))  # wrong
    tasks.task(5)  # wrong
    tasks.task()(5)  # wrong


def get_number() -> int:
    return 1


def dependencies(text: str = Depends(get_number)) -> None:  # wrong
    Depends(5)  # wrong
    tasks.task(on_failure=5)  # wrong
    tasks.task(on_retry=[5])  # wrong
    tasks.task(on_success=get_number)  # wrong


def hooks(jp: Jobpipe) -> None:
    jp.lifespan(get_number)  # wrong
    jp.middleware(get_number)  # wrong
    jp.on_failure(get_number)  # wrong
