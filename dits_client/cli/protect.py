"""`dits protect`: what protects branches and tags."""

from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dits.auth.v1.account_service_pb2 import GetUserRequest
from dits.auth.v1.team_service_pb2 import GetTeamRequest
from dits.common.v1.permission_pb2 import PERMISSION_ADMIN
from dits.repo.v1 import ref_service_pb2 as pb
from dits.repo.v1.ref_protection_pb2 import (
    BranchProtection,
    BranchRule,
    ProtectionMembers,
    RestrictedPaths,
    TagProtection,
)

from dits_client.cli.answers import record
from dits_client.cli.history import connect_to_revision, find_repository
from dits_client.cli.session import connect_with_password
from dits_client.cli.table import print_json, tell_if_empty
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient

# No branch has these in its name: what has them is a pattern of names.
_PATTERN = frozenset("*?[")


def handle_show(arguments: Namespace) -> None:
    """Show what protects a branch, as JSON: what it has of its own, then the rules."""
    with connect_to_revision(arguments) as (repository, revision):
        request = pb.GetBranchRequest(repository=repository.name, name=arguments.branch or revision)
        branch = repository.call(repository.refs.GetBranch, request).branch
    for each in (branch.protection, *branch.rules):
        record(each)
    if not branch.is_protected:
        print(f"Nothing protects {branch.name}.")
    if branch.HasField("protection"):
        print_json([branch.protection])
    print_json(branch.rules)


def handle_rules(arguments: Namespace) -> None:
    """Show the rules that protect branches by their names, as JSON."""
    with connect_to_revision(arguments) as (repository, _):
        request = pb.GetBranchRulesRequest(repository=repository.name)
        rules = repository.call(repository.refs.GetBranchRules, request).rules
    for rule in tell_if_empty(
        rules, "No rule protects branches by their names.", as_json=arguments.json
    ):
        record(rule)
        print_json([rule])


def handle_set(arguments: Namespace) -> None:
    """Replace what protects a branch."""
    with _connect_as_administrator(arguments) as (repository, revision):
        client = repository.client
        protection = BranchProtection(
            forbid_force=arguments.no_force,
            forbid_deletion=arguments.no_delete,
            require_signatures=arguments.signed,
            require_linear_history=arguments.linear,
            bypass=_find_members(client, arguments.bypass),
        )
        if arguments.admins_only:
            protection.required_permission = PERMISSION_ADMIN
        if arguments.restrict:
            allowed = _find_members(client, arguments.allow)
            protection.restricted_paths.append(
                RestrictedPaths(patterns=arguments.restrict, allowed=allowed)
            )
        _protect(repository, arguments.branch or revision, protection)


def handle_clear(arguments: Namespace) -> None:
    """Remove what protects a branch."""
    with _connect_as_administrator(arguments) as (repository, revision):
        _protect(repository, arguments.branch or revision, BranchProtection())


def handle_tags(arguments: Namespace) -> None:
    """Show what protects tags, or replace it."""
    changes = arguments.patterns or arguments.clear
    connected = _connect_as_administrator if changes else connect_to_revision
    with connected(arguments) as (repository, _):
        if changes:
            allowed = _find_members(repository.client, arguments.allow)
            protection = TagProtection(patterns=arguments.patterns, allowed=allowed)
            change = pb.SetTagProtectionRequest(repository=repository.name, protection=protection)
            protection = repository.call(repository.refs.SetTagProtection, change).protection
        else:
            request = pb.GetTagProtectionRequest(repository=repository.name)
            protection = repository.call(repository.refs.GetTagProtection, request).protection
    record(protection)
    if protection.patterns:
        print_json([protection])
    else:
        print("Nothing protects the tags.")


@contextmanager
def _connect_as_administrator(arguments: Namespace) -> Iterator[tuple[RepositoryClient, str]]:
    """Connect as `connect_to_revision`, with a session: the token of a login may not protect."""
    at, name, branch = find_repository(arguments)
    with connect_with_password(at) as client:
        yield RepositoryClient(client, name), branch


def _protect(repository: RepositoryClient, name: str, protection: BranchProtection) -> None:
    if _PATTERN.intersection(name):
        rule = BranchRule(pattern=name, protection=protection)
        asked = pb.SetBranchRuleRequest(repository=repository.name, rule=rule)
        answer = repository.call(repository.refs.SetBranchRule, asked)
        record(answer.rule)
        if answer.HasField("rule"):
            print(f"Branches {name} are protected, those to come, too.")
        else:
            print(f"No rule protects branches {name} any more.")
        return
    request = pb.SetBranchProtectionRequest(
        repository=repository.name, name=name, protection=protection
    )
    branch = repository.call(repository.refs.SetBranchProtection, request).branch
    record(branch.protection)
    if branch.is_protected:
        print(f"{branch.name} is protected.")
    else:
        print(f"Nothing protects {branch.name} any more.")


def _find_members(client: Client, names: Iterable[str]) -> ProtectionMembers:
    """Return the users, and the teams (`organisation/team`), of these names."""
    members = ProtectionMembers()
    for name in names:
        organization, slash, team = name.partition("/")
        if slash:
            asked = GetTeamRequest(organization=organization, team=team)
            members.team_ids.append(client.call(client.teams.GetTeam, asked).team.id)
        else:
            request = GetUserRequest(user=name)
            members.user_ids.append(client.call(client.accounts.GetUser, request).user.id)
    return members
