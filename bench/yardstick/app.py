"""A job service of the usual shape: FastAPI, SQLAlchemy, one INSERT and one commit a request.

What ``bench/service.py`` compares the service with. It only stores; nothing ever runs its jobs.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from pydantic import BaseModel, Field
from sqlalchemy import JSON, DateTime, Index, func
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(os.environ["YARDSTICK_URL"], pool_size=20, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """The tables."""


class Job(Base):
    """One request to run a task."""

    __tablename__ = "job"
    __table_args__ = (Index("job_ready", "state", "priority", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    args: Mapped[dict[str, Any]] = mapped_column(JSON)
    queue: Mapped[str]
    priority: Mapped[int]
    state: Mapped[str] = mapped_column(default="queued")
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class NewJob(BaseModel):
    """The body of a request."""

    task: str
    args: dict[str, Any] = {}
    queue: str = "default"
    priority: int = Field(0, ge=-100, le=100)
    max_attempts: int = Field(5, ge=1)


class JobOut(NewJob):
    """The answer."""

    id: int
    state: str
    attempt: int
    created_at: datetime


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


app = FastAPI(lifespan=lifespan)


@app.post("/api/v1/jobs", status_code=201)
async def enqueue(wanted: NewJob, db: Annotated[AsyncSession, Depends(session)]) -> JobOut:
    job = Job(**wanted.model_dump())
    db.add(job)
    await db.commit()
    return JobOut.model_validate(job, from_attributes=True)
