"""Addresses, credentials, the state of a folder, and what the command says when something is wrong."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dits_client.atomic_file import replace_file
from dits_client.cli.folder import format_bytes
from dits_client.cli.main import main
from dits_client.cli.parser import make_parser
from dits_client.errors import ClientError
from dits_client.server.credential import make_metadata
from dits_client.server.endpoints import Endpoints
from dits_client.workspace.lock_modes import LockRules
from dits_client.workspace.state import WorkspaceState
from dits_client.workspace.workspace import Workspace


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("DITS_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "config"
    monkeypatch.setenv("DITS_CONFIG_DIR", str(folder))
    return folder


@pytest.mark.parametrize(
    ("given", "auth", "lock", "tls"),
    [
        ("localhost", "localhost:50051", "localhost:50054", False),
        ("localhost:7000", "localhost:7000", "localhost:7003", False),
        ("127.0.0.1", "127.0.0.1:50051", "127.0.0.1:50054", False),
        ("[::1]:7000", "[::1]:7000", "[::1]:7003", False),
        ("http://box", "box:50051", "box:50054", False),
        ("https://dits.example/", "dits.example:50051", "dits.example:50054", True),
        ("dits.example:443", "dits.example:443", "dits.example:446", True),
    ],
)
def test_server_addresses(given: str, auth: str, lock: str, tls: bool) -> None:
    found = Endpoints.parse(given)
    assert (found.auth, found.lock, found.tls) == (auth, lock, tls)


@pytest.mark.parametrize(
    "given",
    ["", "http://", "ftp://x", "host:port", "host:0", "host:99999", "a/b", "user@host", ":1"],
)
def test_bad_server_addresses(given: str) -> None:
    with pytest.raises(ClientError):
        Endpoints.parse(given)


def test_single_services_may_be_elsewhere() -> None:
    found = Endpoints.parse("localhost", {"DITS_CHUNK": "store:1", "DITS_REPO": ""})
    assert found.chunk == "store:1"
    assert found.repo == "localhost:50052"


def test_the_server_moves_the_addresses_that_the_user_did_not_name() -> None:
    found = Endpoints.parse("localhost", {"DITS_CHUNK": "store:1"})
    moved = found.relocate(repo="there:1", chunk="there:2", lock="")
    assert (moved.auth, moved.repo) == ("localhost:50051", "there:1")
    assert (moved.chunk, moved.lock) == ("store:1", "localhost:50054")


def test_secrets_in_wrong_places_are_not_repeated() -> None:
    for address in ("http://ada:hunter2@host", "ada:hunter2@host:1", "ftp://ada:hunter2@host"):
        with pytest.raises(ClientError, match="no password") as caught:
            Endpoints.parse(address)
        assert "hunter2" not in str(caught.value)
    for token in ("hunter2\n", "hünter2", "hunter2\x00"):
        with pytest.raises(ClientError, match="copy it again") as caught:
            make_metadata(token)
        assert "nter2" not in str(caught.value)


def test_rules_of_locks_that_are_damaged_do_not_count(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path, STATE)
    for content in ("", "[]", '{"required": true, "patterns": 5}', '{"held": [1]}', "[" * 100_000):
        (workspace.own_directory / "locks.json").write_text(content)
        assert LockRules.load(workspace) == LockRules()


def test_files_are_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    replace_file(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


STATE = WorkspaceState("http://localhost:50051", "ada/film", "main")


def test_a_folder_is_found_from_below(tmp_path: Path) -> None:
    made = Workspace.create(tmp_path, STATE)
    (tmp_path / "a" / "b").mkdir(parents=True)
    found = Workspace.locate(tmp_path / "a" / "b")
    assert (found.root, found.state) == (made.root, STATE)
    with pytest.raises(ClientError, match="is a dits folder already"):
        Workspace.create(tmp_path / "a", STATE)


def test_one_command_at_a_time(tmp_path: Path) -> None:
    first, second = Workspace.create(tmp_path, STATE), Workspace.locate(tmp_path)
    with first.lock():
        first.state.head = "ab" * 32
        first.save()
        with pytest.raises(ClientError, match="another dits command is at work"), second.lock():
            pass
    with second.lock():
        assert second.state.head == "ab" * 32


def test_a_damaged_state_is_one_sentence(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path, STATE)
    (workspace.own_directory / "state.json").write_text('{"unknown": 1}')
    with pytest.raises(ClientError, match="is damaged"):
        Workspace.locate(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(arguments)
    told = capsys.readouterr().err
    assert told.count("\n") <= 1, told
    return code, told


def test_errors_are_one_sentence_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["push"], ["pull"], ["status"], ["log"], ["locks"], ["lock", "x"]):
        code, told = run(capsys, *command)
        assert code == 1
        assert "is not a dits folder" in told
    for command in (["whoami"], ["logout"], ["clone", "a/b"], ["repo", "list"], ["init"]):
        code, told = run(capsys, *command)
        assert (code, "not logged in" in told) == (1, True), told
    code, told = run(capsys, "init", "missing")
    assert (code, "does not exist" in told) == (1, True)


def test_a_server_that_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DITS_TOKEN", "token")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("DITS_SERVER", f"127.0.0.1:{unused.getsockname()[1]}")
        code, told = run(capsys, "whoami")
    assert code == 1
    assert "cannot be reached" in told


def test_status_needs_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Workspace.create(tmp_path, STATE)
    (tmp_path / "a").write_text("1")
    monkeypatch.chdir(tmp_path)
    assert main(["status", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["new"] == ["a"]
    assert report["branch"] == "main"


def test_wrong_use_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["nonsense"], ["lock", "--ttl", "soon", "a"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    for arguments in (["switch"], ["switch", "a", "b"], ["switch", "a", "--continue"]):
        assert main(arguments) == 2
    capsys.readouterr()


def test_durations() -> None:
    parser = make_parser()
    for text, seconds in (("90", 90), ("30s", 30), ("30m", 1800), ("8h", 28800), ("2d", 172800)):
        assert parser.parse_args(["lock", "a", "--ttl", text]).ttl == seconds


def test_amounts_for_people() -> None:
    assert [format_bytes(count) for count in (0, 999, 1500, 2.5e6, 3e9, 4e12)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.5 MB",
        "3.0 GB",
        "4.0 TB",
    ]


def test_starting_loads_nothing_heavy() -> None:
    heavy = {
        "asyncio", "asyncpg", "blake3", "cryptography", "dataclasses", "dits", "google", "grpc", "json",
        "numpy", "pathspec", "re2", "rich", "shared", "zstandard",
    }  # fmt: skip
    code = "import dits_client.cli.main as m, sys\ntry: m.main(['--help'])\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert "argparse" in loaded
    assert heavy & set(loaded) == set()


def test_ctrl_c_while_modules_are_loaded_is_no_error() -> None:
    code = """import sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == "argparse":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from dits_client.__main__ import main
sys.exit(main())"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "dits: interrupted\n")


@pytest.mark.parametrize("ignored", [True, False])
def test_a_signal_that_is_ignored_ends_no_command(ignored: bool) -> None:
    """As `nohup` does with SIGHUP."""
    code = """import os, signal, sys
from dits_client.cli import main
signal.signal(signal.SIGHUP, signal.SIG_IGN if len(sys.argv) > 1 else signal.SIG_DFL)
main._load_handler = lambda *_: lambda _: os.kill(os.getpid(), signal.SIGHUP)
sys.exit(main.main(["man"]))"""
    command = [sys.executable, "-c", code, *["ignored"] * ignored]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == (0 if ignored else 129)
