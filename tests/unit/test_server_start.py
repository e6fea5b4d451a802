"""What `dits-server` loads before it knows what to do: operators run it for one question."""

from __future__ import annotations

import argparse
import subprocess
import sys

from shared.runtime.config import add_options

PROGRAM = """
import sys, services.cli
print([name for name in sys.modules if name.startswith("services.") and name.endswith(".server")])
"""


def test_no_service_is_loaded_before_one_is_to_run() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_help_tells_each_default_once_and_in_words() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    told = [action.help or "" for action in parser._actions]
    assert [
        text for text in told if text.count("default:") > 1 or "{}]" in text or "()]" in text
    ] == []
    assert any(text.endswith("[DITS_TRUSTED_PROXIES; default: none]") for text in told)
    assert any(text.endswith("[DITS_REGISTRATION_OPEN; default: true]") for text in told)
