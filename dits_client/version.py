"""The version of this program."""

from importlib.metadata import PackageNotFoundError, version


def describe_version() -> str:
    """Return it for people; it is known of a package that is installed."""
    try:
        return f"dits {version('dits-server')}"
    except PackageNotFoundError:
        return "dits that is not installed as a package"
