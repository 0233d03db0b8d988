"""The audit names the user who ran a command."""

from __future__ import annotations

import os
import pwd

from jobpipe import Jobpipe
from tests.surface.conftest import Cli


def test_what_a_command_changes_is_noted_with_the_users_login(cli: Cli) -> None:
    assert cli("enqueue", "app.add", "a=1", "b=2").code == 0
    assert cli("job", "cancel", "1").code == 0
    assert cli("job", "rerun", "1").code == 0
    assert cli("queue", "pause", "default", "--reason", "flood").code == 0
    assert cli("queue", "resume", "default").code == 0
    assert cli("job", "cancel", "1").code == 0
    assert cli("job", "delete", "1").code == 0
    assert cli("job", "show", "1").code == 4
    application = Jobpipe()
    notes = application.audit()[::-1]
    application.close()
    assert [note.action for note in notes] == [
        "enqueue",
        "cancel",
        "rerun",
        "pause_queue",
        "resume_queue",
        "cancel",
        "delete",
    ]
    login = pwd.getpwuid(os.getuid()).pw_name
    assert {(note.who, note.via) for note in notes} == {(f"cli:{login}", "cli")}
