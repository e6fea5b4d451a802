"""The option (dits.common.v1.access) of every RPC: complete, and equal to what the comment says."""

from __future__ import annotations

import re
from unittest.mock import Mock

import pytest
from dits.common.v1 import access_pb2, permission_pb2
from dits.common.v1.error_reason_pb2 import ErrorReason
from grpc_health.v1 import health_pb2

from services.auth.access.decisions import LocalAccess
from shared.rpc.chain import Chain
from shared.rpc.health import Health
from shared.rpc.limits import Limits
from shared.rpc.peer_address import PeerAddresses
from shared.rpc.policy import COMMON_REASONS, SCOPES, Permission
from tests.support.rpcs import ROOT, Rpc, messages, rpcs

RPCS = rpcs()
MESSAGES = messages()
every_rpc = pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.path)


@every_rpc
def test_every_rpc_has_the_option(rpc: Rpc) -> None:
    assert rpc.method.options.HasExtension(access_pb2.access)


@every_rpc
def test_scopes_are_of_the_closed_list(rpc: Rpc) -> None:
    assert rpc.access.scope in {"", *SCOPES - {"site:admin"}}


@every_rpc
def test_the_field_that_names_the_repository_is_there(rpc: Rpc) -> None:
    path = rpc.access.repository_field
    assert bool(path) == bool(rpc.access.permission)
    assert bool(path) or not rpc.access.mutates
    message = rpc.method.input_type
    for name in filter(None, path.split(".")):
        [field] = [field for field in MESSAGES[message].field if field.name == name]
        message = field.type_name
        assert (field.type == field.TYPE_STRING) == (not message)


@every_rpc
def test_the_repository_is_the_first_field(rpc: Rpc) -> None:
    """Of the request, or of the header that a stream begins with."""
    message = rpc.method.input_type
    for name in filter(None, rpc.access.repository_field.split(".")):
        [first] = [field for field in MESSAGES[message].field if field.number == 1]
        assert first.name == name
        message = first.type_name


@every_rpc
def test_what_may_take_the_right_has_a_request_id(rpc: Rpc) -> None:
    if rpc.access.ends_access:
        assert rpc.access.repository_field
        assert "request_id" in {field.name for field in MESSAGES[rpc.method.input_type].field}


@every_rpc
def test_reasons_are_sorted_and_not_common(rpc: Rpc) -> None:
    names = [ErrorReason.Name(reason) for reason in rpc.access.reasons]  # raises if unknown
    assert names == sorted(set(names))
    assert not COMMON_REASONS.intersection(rpc.access.reasons)


@every_rpc
def test_the_comment_lists_the_declared_reasons(rpc: Rpc) -> None:
    """`Errors:` is the last paragraph: a bullet for each reason, or `none beyond the common ones`."""
    _, found, errors = rpc.comment.partition("\n Errors:")
    assert found, "no list of errors"
    declared = [ErrorReason.Name(r).removeprefix("ERROR_REASON_") for r in rpc.access.reasons]
    if not declared:
        assert errors == " none beyond the common ones.\n"
        return
    bullets = re.findall(r"^ - ([A-Z_]+): [^\n]+(?:\n   [^\n]+)*\.$", errors, re.MULTILINE)
    assert bullets == declared
    assert len(bullets) == len(re.findall(r"^ \S", errors, re.MULTILINE)), "more than bullets"


@every_rpc
def test_the_comment_says_what_the_caller_needs(rpc: Rpc) -> None:
    access = rpc.access
    needed = "a credential"
    if access.permission:
        needed = Permission(access.permission).name
    elif access.anonymous:
        needed = "no credential"
    assert f"Needs {needed}" in rpc.sentence
    if access.scope:
        assert f"Needs {needed}; an API token needs `{access.scope}`" in rpc.sentence


@every_rpc
def test_the_comment_says_that_a_public_repository_needs_a_credential(rpc: Rpc) -> None:
    """Where it does, though the permission is READ."""
    if rpc.access.permission == permission_pb2.PERMISSION_READ and not rpc.access.anonymous:
        assert "It needs a credential" in rpc.sentence


def test_the_common_reasons_are_listed() -> None:
    """In the comment of the option, and with their meanings in the page of conventions."""
    names = {ErrorReason.Name(reason).removeprefix("ERROR_REASON_") for reason in COMMON_REASONS}
    option = (ROOT / "protos/dits/common/v1/access.proto").read_text()
    listed = re.search(r"common to all RPCs: ([^.]*)\.", option)
    assert listed is not None
    assert set(re.findall(r"[A-Z_]{4,}", listed[1])) == names
    page = (ROOT / "protos/dits/README.md").read_text()
    _, _, section = page.partition("### Common reasons")
    assert (
        set(re.findall(r"^\| ([A-Z_]+) \|", section.partition("\n## ")[0], re.MULTILINE)) == names
    )


@every_rpc
def test_what_needs_no_credential_may_come_with_a_limited_token(rpc: Rpc) -> None:
    access = rpc.access
    if access.anonymous and not access.repository_field:
        assert access.limited_tokens
    if access.limited_tokens:
        assert access.repository_optional or not access.repository_field


@every_rpc
def test_the_comment_says_which_calls_need_sudo(rpc: Rpc) -> None:
    access = rpc.access
    may_need_it = access.sudo != access_pb2.SUDO_UNSPECIFIED
    assert may_need_it == (ErrorReason.ERROR_REASON_SUDO_REQUIRED in access.reasons)
    assert ("sudo" in rpc.sentence.partition("Errors:")[0]) == may_need_it or "Elevate" in rpc.path
    assert not (may_need_it and access.anonymous)
    if access.sudo == access_pb2.SUDO_ALWAYS:
        assert "Needs sudo" in rpc.sentence
    if access.sudo_field:
        assert access.sudo == access_pb2.SUDO_CONDITIONAL
        names = [field.name for field in MESSAGES[rpc.method.input_type].field]
        assert access.sudo_field in names


def test_permissions_equal_the_proto() -> None:
    for permission in Permission:
        name = "UNSPECIFIED" if permission is Permission.NONE else permission.name
        assert int(permission_pb2.Permission.Value(f"PERMISSION_{name}")) == permission


def test_no_server_starts_with_an_rpc_without_the_option() -> None:
    service = health_pb2.DESCRIPTOR.services_by_name["Health"]
    with pytest.raises(ValueError, match=r"Health.Check has no option \(dits.common.v1.access\)"):
        Chain(LocalAccess(Mock()), Limits(), PeerAddresses(())).handlers(service, Health(()))
