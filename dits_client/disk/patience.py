"""Files that another program has open: Windows refuses to replace or remove them."""

import errno
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Seconds before each further attempt: virus scanners and indexers let go of a file soon.
PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.6)
# What Windows says: a sharing or lock violation; or only that access is denied.
_SHARING, _DENIED = (32, 33), 5
_ADVICE = "close it there, and run the same command again"


def wait_while_in_use(change: Callable[[], T]) -> T:
    """Do something with a file, for some 2 s again while another program has it open.

    Raises PermissionError that says what to do then, OSError.
    """
    for pause in PAUSES:
        try:
            return change()
        except OSError as error:
            if not _is_in_use(error):
                raise
        time.sleep(pause)
    try:
        return change()
    except OSError as error:
        if not _is_in_use(error):
            raise
        why = "another program has it open"
        if _get_number(error) == _DENIED:
            why = "access is denied, perhaps because another program has it open"
        raise PermissionError(errno.EACCES, f"{why}: {_ADVICE}", error.filename) from error


def _is_in_use(error: OSError) -> bool:
    return _get_number(error) in (*_SHARING, _DENIED)


def _get_number(error: OSError) -> int | None:
    """Return the number that Windows gives an error; None = it is of another system."""
    number: int | None = getattr(error, "winerror", None)
    return number
