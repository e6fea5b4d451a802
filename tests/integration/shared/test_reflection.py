"""Reflection serves the protos with their comments and options."""

from __future__ import annotations

import pytest
from dits.common.v1 import access_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from tests.support.api import Api
from tests.support.raw_calls import call_raw


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_carries_the_comments(api: Api, version: str) -> None:
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    request = reflection_pb2.ServerReflectionRequest(
        file_containing_symbol="dits.repo.v1.CommitService"
    )
    answer = reflection_pb2.ServerReflectionResponse.FromString(
        await call_raw(api, path, request.SerializeToString())
    )
    files = [
        FileDescriptorProto.FromString(data)
        for data in answer.file_descriptor_response.file_descriptor_proto
    ]
    comments = "".join(
        location.leading_comments for file in files for location in file.source_code_info.location
    )
    assert "Adds manifests and commits and moves refs in one transaction" in comments
    [push] = [
        method
        for file in files
        for service in file.service
        for method in service.method
        if method.name == "Push"
    ]
    assert push.options.Extensions[access_pb2.access].repository_field == "header.repository"
    assert "dits/common/v1/access.proto" in {file.name for file in files}


async def test_reflection_knows_the_option_of_methods(api: Api) -> None:
    """By number, as clients ask that do not follow the imports."""
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    options = "google.protobuf.MethodOptions"
    number = access_pb2.access.number
    asked = reflection_pb2.ServerReflectionRequest(all_extension_numbers_of_type=options)
    answer = reflection_pb2.ServerReflectionResponse.FromString(
        await call_raw(api, path, asked.SerializeToString())
    )
    assert list(answer.all_extension_numbers_response.extension_number) == [number]
    asked = reflection_pb2.ServerReflectionRequest(
        file_containing_extension=reflection_pb2.ExtensionRequest(
            containing_type=options, extension_number=number
        )
    )
    answer = reflection_pb2.ServerReflectionResponse.FromString(
        await call_raw(api, path, asked.SerializeToString())
    )
    first = answer.file_descriptor_response.file_descriptor_proto[0]
    assert FileDescriptorProto.FromString(first).name == "dits/common/v1/access.proto"


async def test_reflection_knows_the_details_of_errors(api: Api) -> None:
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    for symbol in ("google.rpc.ErrorInfo", "google.rpc.PreconditionFailure", "google.rpc.Status"):
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
        answer = reflection_pb2.ServerReflectionResponse.FromString(
            await call_raw(api, path, request.SerializeToString())
        )
        assert answer.file_descriptor_response.file_descriptor_proto
