"""Become a PostgreSQL program: without privileges, and never outliving the parent.

PostgreSQL refuses to run as root, and an orphaned server would keep its folder. Both are settled
here, between fork and exec, in a small program of its own rather than in a `preexec_fn`: that would
run Python in a fork of a process with threads (gRPC's, uvloop's), where any lock that one of them
held stays locked for ever.

Run by path and isolated (`python -I -S launcher.py …`): it needs neither the checkout on
the path nor any package, and starts in some 20 ms.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# From linux/prctl.h, linux/capability.h and linux/securebits.h.
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_CAP_SETPCAP = 8
_SECBIT_NO_SETUID_FIXUP = 1 << 2


def command(uid: int, gid: int, folder: Path, program: Path, *arguments: str) -> list[str]:
    """The command line that runs `program` in `folder` as `uid`, for as long as this process lives.

    Start it from the main thread: the kernel watches the thread that forked, not the process.
    """
    launcher = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(uid), str(gid)]
    return [*launcher, str(folder), str(program), *arguments]


def main(parent: str, uid: str, gid: str, folder: str, *program: str) -> None:
    """Drop root, tie this process to its parent, and exec; a failure is one sentence on stderr."""
    # The kernel's own reaction, so that no moment exists in which Python swallows the signal.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    escalations: tuple[int, ...] = ()
    try:
        if os.geteuid() == 0:
            _drop_root(int(uid), int(gid))
            escalations = (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE)
        _die_with(int(parent))
        _exec(Path(folder), program, escalations)
    except OSError as exc:
        sys.exit(f"error: user {uid} cannot run {program[0]}: {exc.strerror}")


def _drop_root(uid: int, gid: int) -> None:
    """Become `uid` for good; capabilities stay permitted until exec, but none is in force."""
    os.setgroups([])
    os.setgid(gid)
    _prctl(_PR_SET_KEEPCAPS, 1)
    os.setuid(uid)


def _die_with(parent: int) -> None:
    """Have the kernel send SIGINT, PostgreSQL's fast shutdown, when the parent dies."""
    # After setuid, which forgets the request; and the parent may be gone already.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        sys.exit("error: the parent process is gone")


def _exec(folder: Path, program: tuple[str, ...], escalations: Sequence[int]) -> None:
    """Exec in `folder`, with the first capability (none is tried first) that makes both reachable.

    The checkout and the data may lie below folders that only root can enter, whose permissions are
    not ours to change. Trying for real is the only probe that knows of ACLs and mount options.
    """
    denied: PermissionError | None = None
    for capability in (None, *escalations):
        try:
            if capability is not None:
                _keep_through_exec(capability)
            _reach(Path(program[0]), folder)
            os.execve(program[0], program, _environment())  # noqa: S606
        except PermissionError as exc:
            denied = denied or exc
    if denied is not None:
        sys.exit(f"error: user {os.getuid()}, who runs PostgreSQL, may not use {denied.filename}")


def _reach(program: Path, folder: Path) -> None:
    """Go to `folder`, and see `program`, as PostgreSQL will; the error names what is closed."""
    for needed in (program.parent, folder):
        for step in (*reversed(needed.parents), needed):
            os.chdir(step)
    # In this way PostgreSQL looks for its own programs.
    if not os.access(program, os.R_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(program))


def _environment() -> dict[str, str]:
    """Nothing of ours: neither its secrets nor its PG* variables and locale."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C"}


def _keep_through_exec(capability: int) -> None:
    """Put this capability in force, here and (as an ambient one) in the program to come."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Twice effective, permitted, inheritable: first for capabilities 0 to 31, then for the rest.
    sets = (ctypes.c_uint32 * 6)()
    libc_call("capget", header, sets)
    permitted, wanted, setpcap = sets[1], 1 << capability, 1 << _CAP_SETPCAP
    if permitted & setpcap:
        # Otherwise access(2) would go by the user alone and ignore all capabilities.
        libc_call("capset", header, (ctypes.c_uint32 * 6)(setpcap, permitted, 0))
        _prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
    libc_call("capset", header, (ctypes.c_uint32 * 6)(wanted, permitted, wanted))
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def _prctl(option: int, *arguments: int) -> None:
    padded = (*arguments, 0, 0, 0, 0)[:4]
    libc_call("prctl", option, *(ctypes.c_ulong(argument) for argument in padded))


def libc_call(function: str, *arguments: Any) -> None:
    """Call a C library function that Python has no name for; OSError when it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


if __name__ == "__main__":
    main(*sys.argv[1:])
