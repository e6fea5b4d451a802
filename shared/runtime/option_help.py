"""Help of commands that have an option for each setting."""

from __future__ import annotations

import argparse
from typing import Any

# What stands for the value of an option that is a setting.
SETTING_VALUE = "VALUE"


class ShortUsage(argparse.HelpFormatter):
    """Leaves the settings out of the usage, which is for what a command alone has."""

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: Any = None) -> None:
        """See HelpFormatter."""
        own = [action for action in actions if action.metavar != SETTING_VALUE]
        super().add_usage(usage, own, groups, prefix)
