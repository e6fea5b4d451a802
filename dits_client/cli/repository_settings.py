"""`dits repo settings`."""

from argparse import Namespace
from typing import Literal

from dits.repo.v1 import repository_service_pb2 as pb

from dits_client.cli.answers import print_answer
from dits_client.cli.repository_admin import open_repository, print_fields
from dits_client.cli.session import connect
from dits_client.cli.table import print_json
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import format_count

# After how many days chunks move to a class, by default.
LIFECYCLE: dict[Literal["infrequent_days", "glacier_days", "deep_archive_days"], int] = {
    "infrequent_days": 30,
    "glacier_days": 90,
    "deep_archive_days": 365,
}
_FLAGS = ("require_lock_for_edit", "portable_names")
_NUMBERS = ("max_file_size_bytes", "max_storage_bytes", "min_regions", "replication_seconds")


def handle_settings(arguments: Namespace) -> None:
    """Show or change the rules for pushes."""
    request = pb.UpdateRepositorySettingsRequest(repository=arguments.repository)
    for name in (*_FLAGS, *_NUMBERS):
        if (value := getattr(arguments, name)) is not None:
            setattr(request.settings, name, value)
            request.update_mask.paths.append(name)
    for name in ("allowed_extensions", "lock_patterns", "on_demand_patterns", "regions"):
        if (values := getattr(arguments, name)) is not None:
            getattr(request.settings, name).extend(value for value in values if value)
            request.update_mask.paths.append(name)
    _add_policy(request, arguments)
    if request.update_mask.paths:
        with open_repository(arguments.repository) as repository:
            done = repository.call(repository.repositories.UpdateRepositorySettings, request)
        print_answer(arguments, done.settings, f"Changed the rules of {arguments.repository}.")
        return
    with connect() as (client, _):
        repository = RepositoryClient(client, arguments.repository)
        settings = repository.call(
            repository.repositories.GetRepositorySettings,
            pb.GetRepositorySettingsRequest(repository=arguments.repository),
        ).settings
    if arguments.json:
        print_json([settings])
        return
    print_fields(
        {
            "require lock": "yes" if settings.require_lock_for_edit else "no",
            "lock patterns": " ".join(settings.lock_patterns) or "all files",
            "on demand": " ".join(settings.on_demand_patterns) or "no files",
            "portable names": "yes" if settings.portable_names else "no",
            "largest file": _describe_most(settings.max_file_size_bytes, "any"),
            "storage": _describe_most(settings.max_storage_bytes, ""),
            "colder": _describe_policy(settings.lifecycle_policy),
            "extensions": " ".join(settings.allowed_extensions) or "all",
            "regions": _describe_regions(settings),
        }
    )


def _describe_most(count: int, unlimited: str) -> str:
    return f"{count:,}" if count else unlimited


def _describe_regions(settings: pb.RepositorySettings) -> str:
    least = f", {settings.min_regions} before a push" if settings.min_regions else ""
    return (" ".join(settings.regions) or "any") + least


def _add_policy(request: pb.UpdateRepositorySettingsRequest, arguments: Namespace) -> None:
    """Add the policy of the storage; what is not named has its default."""
    policy = request.settings.lifecycle_policy
    if arguments.default_lifecycle:
        request.update_mask.paths.append("lifecycle_policy")
    for name in LIFECYCLE:
        if (days := getattr(arguments, name)) is not None:
            setattr(policy, name, days)
            if "lifecycle_policy" not in request.update_mask.paths:
                request.update_mask.paths.append("lifecycle_policy")


def _describe_policy(policy: pb.LifecyclePolicy) -> str:
    return ", ".join(
        f"{name.removesuffix('_days')} after "
        f"{format_count(getattr(policy, name) if policy.HasField(name) else most, 'day')}"
        if not policy.HasField(name) or getattr(policy, name)
        else f"{name.removesuffix('_days')} never"
        for name, most in LIFECYCLE.items()
    )
