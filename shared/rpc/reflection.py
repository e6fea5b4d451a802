"""Server reflection (v1 and v1alpha), with the comments of the protos.

The stock servicer answers from the runtime's descriptor pool, which keeps no comments; this one answers
from the descriptor set that is generated beside the stubs, so that `grpcurl describe` reads like the
manual.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from importlib import resources

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2 as pb

from shared.rpc.call import Call

# Not of our protos, but on the wire: the health service, and the details of errors.
_OTHERS = (
    any_pb2.DESCRIPTOR,
    duration_pb2.DESCRIPTOR,
    error_details_pb2.DESCRIPTOR,
    status_pb2.DESCRIPTOR,
    health_pb2.DESCRIPTOR,
)


@dataclass(frozen=True, slots=True)
class _Catalog:
    """All files that the servers can describe: by name, by a symbol in them, by an extension."""

    files: dict[str, FileDescriptorProto]
    homes: dict[str, FileDescriptorProto]
    extensions: dict[tuple[str, int], FileDescriptorProto]


@functools.cache
def _load_catalog() -> _Catalog:
    described = FileDescriptorSet.FromString(
        (resources.files("dits") / "descriptors.binpb").read_bytes()
    )
    files = {file.name: file for file in (*map(_proto, _OTHERS), *described.file)}
    return _Catalog(
        files,
        {symbol: file for file in files.values() for symbol in _symbols(file)},
        {
            (extension.extendee.lstrip("."), extension.number): file
            for file in files.values()
            for extension in file.extension
        },
    )


class Reflection:
    """Answers reflection requests for a set of services."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = sorted(services)
        self._catalog = _load_catalog()

    async def ServerReflectionInfo(
        self, requests: AsyncIterator[pb.ServerReflectionRequest], _call: Call
    ) -> AsyncIterator[pb.ServerReflectionResponse]:
        """One answer per request."""
        async for request in requests:
            answer = self._answer(request)
            answer.valid_host = request.host
            answer.original_request.CopyFrom(request)
            yield answer

    def _answer(self, request: pb.ServerReflectionRequest) -> pb.ServerReflectionResponse:
        match request.WhichOneof("message_request"):
            case "list_services":
                listed = [pb.ServiceResponse(name=name) for name in self._services]
                return pb.ServerReflectionResponse(
                    list_services_response=pb.ListServiceResponse(service=listed)
                )
            case "file_by_filename":
                return self._file(self._catalog.files.get(request.file_by_filename))
            case "file_containing_symbol":
                return self._file(self._catalog.homes.get(request.file_containing_symbol))
            case "file_containing_extension":
                asked = request.file_containing_extension
                home = self._catalog.extensions.get((asked.containing_type, asked.extension_number))
                return self._file(home)
            case "all_extension_numbers_of_type":
                return self._extension_numbers(request.all_extension_numbers_of_type)
            case _:
                return _not_found()

    def _extension_numbers(self, extended: str) -> pb.ServerReflectionResponse:
        numbers = sorted(number for kind, number in self._catalog.extensions if kind == extended)
        if not numbers and extended not in self._catalog.homes:
            return _not_found()
        return pb.ServerReflectionResponse(
            all_extension_numbers_response=pb.ExtensionNumberResponse(
                base_type_name=extended, extension_number=numbers
            )
        )

    def _file(self, file: FileDescriptorProto | None) -> pb.ServerReflectionResponse:
        """A file and all that it imports, or NOT_FOUND inside the stream."""
        if file is None:
            return _not_found()
        wanted, left = {file.name: file}, list(file.dependency)
        while left:
            name = left.pop()
            if name not in wanted and name in self._catalog.files:
                wanted[name] = self._catalog.files[name]
                left.extend(self._catalog.files[name].dependency)
        return pb.ServerReflectionResponse(
            file_descriptor_response=pb.FileDescriptorResponse(
                file_descriptor_proto=[f.SerializeToString() for f in wanted.values()]
            )
        )


def _not_found() -> pb.ServerReflectionResponse:
    code = grpc.StatusCode.NOT_FOUND.value[0]
    return pb.ServerReflectionResponse(
        error_response=pb.ErrorResponse(error_code=code, error_message="not found")
    )


def _proto(descriptor: FileDescriptor) -> FileDescriptorProto:
    file = FileDescriptorProto()
    descriptor.CopyToProto(file)
    return file


def _symbols(file: FileDescriptorProto) -> Iterable[str]:
    """Full names of everything that a file defines."""
    package = f"{file.package}." if file.package else ""
    for enum in file.enum_type:
        yield package + enum.name
    for extension in file.extension:
        yield package + extension.name
    for service in file.service:
        yield package + service.name
        for method in service.method:
            yield f"{package}{service.name}.{method.name}"
    for message in file.message_type:
        yield from _message_symbols(message, package)


def _message_symbols(message: DescriptorProto, prefix: str) -> Iterable[str]:
    """Full names of a message and what is inside it."""
    name = prefix + message.name
    yield name
    for field in message.field:
        yield f"{name}.{field.name}"
    for enum in message.enum_type:
        yield f"{name}.{enum.name}"
    for nested in message.nested_type:
        yield from _message_symbols(nested, f"{name}.")
