"""The RPCs of the protos, with their comments and their options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dits.common.v1 import access_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

ROOT = Path(__file__).parents[2]
# Field numbers in a FileDescriptorProto and a ServiceDescriptorProto.
_SERVICE, _METHOD = 6, 2


@dataclass(frozen=True, slots=True)
class Rpc:
    """One RPC.

    Attributes:
        path: as gRPC calls it, `/dits.repo.v1.CommitService/Push`.
        method: its descriptor.
        comment: the leading comment, as it stands.
    """

    path: str
    method: MethodDescriptorProto
    comment: str

    @property
    def sentence(self) -> str:
        """The comment in one line."""
        return re.sub(r"\s+", " ", self.comment)

    @property
    def access(self) -> access_pb2.Access:
        """The option; empty if there is none."""
        return self.method.options.Extensions[access_pb2.access]


def name_service(path: str) -> str:
    """Returns the service that an RPC is asked of; of those that all serve, and of gRPC's own, auth."""
    first, name = path.removeprefix("/").split(".")[:2]
    return name if first == "dits" and name != "common" else "auth"


def described() -> FileDescriptorSet:
    """Returns the descriptors that reflection serves."""
    return FileDescriptorSet.FromString((ROOT / "protos/gen/dits/descriptors.binpb").read_bytes())


def messages() -> dict[str, DescriptorProto]:
    """Returns the top messages of all files by their full names, with a dot before them."""
    return {f".{f.package}.{m.name}": m for f in described().file for m in f.message_type}


def rpcs() -> list[Rpc]:
    """Returns all RPCs by their paths."""
    return sorted(
        (rpc for file in described().file for rpc in _rpcs(file)), key=lambda rpc: rpc.path
    )


def _rpcs(file: FileDescriptorProto) -> list[Rpc]:
    comments = {
        tuple(location.path): location.leading_comments
        for location in file.source_code_info.location
    }
    return [
        Rpc(
            f"/{file.package}.{service.name}/{method.name}",
            method,
            comments.get((_SERVICE, i, _METHOD, j), ""),
        )
        for i, service in enumerate(file.service)
        for j, method in enumerate(service.method)
    ]
