"""URLs are shown without their passwords, however odd they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobpipe.config.mask import mask_url


@pytest.mark.parametrize(
    "url,shown",
    [
        ("sqlite:///jobs.db", "sqlite:///jobs.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite:////home/a:b@c/jobs.db", "sqlite:////home/a:b@c/jobs.db"),
        ("postgresql://host:5432/db", "postgresql://host:5432/db"),
        ("postgresql://ann@host/db", "postgresql://ann@host/db"),
        ("postgresql://ann:s3cret@host:5432/db", "postgresql://ann:***@host:5432/db"),
        ("postgresql://:s3cret@host/db", "postgresql://:***@host/db"),
        ("postgresql://ann:s3@cr/et@host/db", "postgresql://ann:***@host/db"),
        ("postgresql://ann:s3?c#r:et@host/db", "postgresql://ann:***@host/db"),
        ("postgresql://ann:s3cret@a:1,b:2/db", "postgresql://ann:***@a:1,b:2/db"),
        ("postgresql:///db?user=ann&password=s3cret", "postgresql:///db?user=ann&password=***"),
        ("postgresql://h/db?PASSWORD=s3c#r=et&x=1", "postgresql://h/db?PASSWORD=***&x=1"),
        ("postgresql://h/db?sslpassword=s3cret", "postgresql://h/db?sslpassword=***"),
        ("postgresql://a:s3@h/db?password=cret", "postgresql://a:***@h/db?password=***"),
        ("ann:s3cret@host/db", "ann:***@host/db"),
        ("postgresql:/ann:s3cret@host/db", "postgresql:***@host/db"),
        ("MYSQL://ann:s3cret@host", "MYSQL://ann:***@host"),
        ("sqlite://ann:s3cret@host/db", "sqlite://ann:***@host/db"),
        ("", ""),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    assert mask_url(url) == shown


@given(st.text(st.sampled_from("@/:?#&=%*abc \n"), max_size=20))
def test_no_password_of_a_user_shows_through(odd: str) -> None:
    assert "s3cret" not in mask_url(f"postgresql://ann:{odd}s3cret{odd}@host/db")
