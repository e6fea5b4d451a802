"""What a line that is not understood is answered, and one that asks nothing of a server."""

import io
import sys

import pytest

from dits_client.cli.main import main


def test_a_mistyped_command_is_told_with_the_nearest_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for line, meant in ((["puhs"], "push"), (["org", "invit", "studio"], "invite"), (["xyz"], "")):
        with pytest.raises(SystemExit) as caught:
            main(line)
        told = capsys.readouterr().err.splitlines()[-1]
        assert (caught.value.code, "there is no command" in told) == (2, True)
        assert told.endswith(f": did you mean {meant}?" if meant else '"dits xyz"')


def test_a_new_password_that_nobody_typed_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    code = main(["account", "reset-password", "--token", "x", "--server", "localhost"])
    assert (code, "a new password is needed" in capsys.readouterr().err) == (1, True)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert (caught.value.code, capsys.readouterr().out[:5]) == (0, "dits ")
