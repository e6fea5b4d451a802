"""Values for the fields of any message, by name and type: valid, nearly valid, hostile."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from typing import Any

import zstandard
from blake3 import blake3
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.fuzz.hostile_text import HOSTILE_TEXT
from tests.fuzz.json_values import make_struct

_NUMBERS = [0, 1, 2, 3, 100, 1000, 1001, 10**6]
_EDGES = [-1, 2**31 - 1, -(2**31), 2**31, 2**32 - 1, 2**53, 2**62, 2**63 - 1, -(2**63), 2**64 - 1]
_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
# Field name -> what it holds, where the name alone does not say it.
_KINDS = {
    "repositories": "repository",
    "owner": "user",
    "holder": "user",
    "new_holder": "user",
    "username": "user",
    "login": "user",
    "paths": "path",
    "path_prefix": "path",
    "default_branch": "branch",
    "name": "branch",
    "name_prefix": "branch",
    "head": "commit",
    "base_commit": "commit",
    "expected_head": "commit",
    "new_head": "commit",
    "lock_ids": "lock_id",
    "steal_lock_ids": "lock_id",
    "hash": "manifest",
    "have_hashes": "manifests_packed",
    "hashes": "chunks_packed",
    "manifests": "manifest_bytes",
    "parent_hashes": "commit_digest",
    "tree_hash": "tree_digest",
    "scopes": "scope",
    "events": "pattern",
    "patterns": "pattern",
}
_IDS = {
    "ApiToken": "token_id",
    "Delivery": "delivery_id",
    "Invitation": "invitation_id",
    "Job": "job_id",
    "Lock": "lock_id",
    "Organization": "organization",
    "Team": "team",
    "Webhook": "webhook_id",
}
# How often a field is set, where a message with most fields set would be refused: share of the calls.
_SHARES = {"repository": 0.98, "organization": 0.1}
_MOST_KNOWN = 300


@dataclass(slots=True)
class Known:
    """Values that mean something to the server, by kind; grows with what it answers."""

    values: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, kind: str, *values: Any) -> None:
        """Adds values; from a number on they replace others."""
        pool = self.values.setdefault(kind, [])
        for value in values:
            if len(pool) < _MOST_KNOWN:
                pool.append(value)
            else:
                pool[hash(value) % _MOST_KNOWN] = value

    def harvest(self, message: Message) -> None:
        """Adds what a response hands out to be sent back."""
        for each, value in message.ListFields():
            values = value if each.is_repeated else [value]
            if each.message_type is not None:
                if each.message_type.GetOptions().map_entry:
                    continue
                for inner in list(values)[:20]:
                    self.harvest(inner)
            elif each.name == "next_page_token":
                self.add("page_token", value)
            elif each.name in ("cursor", "head", "path"):
                self.add({"head": "commit"}.get(each.name, each.name), value)
            elif each.name == "id" and message.DESCRIPTOR.name in _IDS:
                self.add(_IDS[message.DESCRIPTOR.name], value)


@dataclass(slots=True)
class Values:
    """Draws values; `wildness` is the share of those that are not valid."""

    rng: random.Random
    known: Known
    wildness: float = 0.0

    def is_wild(self) -> bool:
        """Whether the next value is no valid one."""
        return self.rng.random() < self.wildness

    def message(self, kind: Descriptor) -> Message:
        """A message of this type."""
        if kind.name == "UploadedChunk":
            return self._chunk(kind)
        if kind.name == "Struct":
            return make_struct(self.rng, lambda: self.text("name"), wild=self.is_wild())
        message = GetMessageClass(kind)()
        chosen = {
            oneof.name: self.rng.choice(oneof.fields)
            for oneof in kind.oneofs
            if not oneof.name.startswith("_")
        }
        for each in kind.fields:
            oneof = each.containing_oneof
            if oneof is not None and oneof.name in chosen:
                if chosen[oneof.name] is each:
                    self.fill(message, each)
            elif self.rng.random() < self._share(kind, each):
                self.fill(message, each)
        return message

    def _share(self, kind: Descriptor, each: FieldDescriptor) -> float:
        """How often a field is set."""
        if each.name == "organization" and "repository" not in kind.fields_by_name:
            return _SHARES["repository"]
        return _SHARES.get(each.name, 0.7)

    def fill(self, message: Message, each: FieldDescriptor) -> None:
        """Sets one field of a message."""
        if each.message_type is not None and each.message_type.GetOptions().map_entry:
            key, value = each.message_type.fields
            for _ in range(self._count(5)):
                getattr(message, each.name)[self.scalar(key)] = self.scalar(value)
        elif each.message_type is not None:
            if each.is_repeated:
                drawn = [self.message(each.message_type) for _ in range(self._count(5))]
                getattr(message, each.name).extend(drawn)
            else:
                getattr(message, each.name).CopyFrom(self.message(each.message_type))
        elif each.is_repeated:
            count = self._count(2000)
            drawn = [self.scalar(each) for _ in range(min(count, 3))]
            getattr(message, each.name).extend(drawn * (count // 3) if count > 3 else drawn)
        else:
            setattr(message, each.name, self.scalar(each))

    def _count(self, most: int) -> int:
        return self.rng.choice([0, most]) if self.is_wild() else self.rng.randint(1, 3)

    def scalar(self, each: FieldDescriptor) -> Any:
        """A value for a field that is no message."""
        if each.enum_type is not None:
            numbers = [value.number for value in each.enum_type.values]
            return self.rng.choice([-1, 99, 2**31 - 1] if self.is_wild() else numbers)
        if each.type == FieldDescriptor.TYPE_STRING:
            return self.text(each.name)
        if each.type == FieldDescriptor.TYPE_BYTES:
            return self.data(each.name)
        if each.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return self.rng.random() < 0.5
        low, high = _RANGES[each.cpp_type]
        value = self.rng.choice(_EDGES if self.is_wild() else _NUMBERS)
        return min(max(value, low), high)

    def text(self, name: str) -> str:
        """Text for a field of this name."""
        valid = self._valid_text(name)
        if not self.is_wild():
            return valid
        return self._mutate(valid) if self.rng.random() < 0.5 else self.rng.choice(HOSTILE_TEXT)

    def _valid_text(self, name: str) -> str:
        if name == "request_id":
            return str(uuid.UUID(int=self.rng.getrandbits(128)))
        if name == "revision":
            name = self.rng.choice(["branch", "commit"])
        pool = self.known.values.get(_KINDS.get(name, name))
        if pool is None or self.rng.random() < 0.1:
            return f"word{self.rng.randint(1, 99)}"
        return str(self.rng.choice(pool))

    def _mutate(self, text: str) -> str:
        at = self.rng.randint(0, len(text))
        other = self.rng.choice(HOSTILE_TEXT)[:20]
        return self.rng.choice(
            [
                text[:at],
                text[:at] + other + text[at:],
                text.upper(),
                text * 3,
                text[::-1],
                f" {text} ",
                text + "/",
            ]
        )

    def data(self, name: str) -> bytes:
        """Bytes for a field of this name."""
        # In text it names a manifest, in hex.
        kind = "digest" if name == "hash" else _KINDS.get(name, name)
        pool = self.known.values.get(kind)
        if pool is None:
            valid = self.rng.randbytes(32)
        elif kind.endswith("_packed"):
            valid = b"".join(self.rng.choices(pool, k=self.rng.randint(1, 5)))
        else:
            valid = bytes(self.rng.choice(pool))
        return self.mutate_bytes(valid) if self.is_wild() else valid

    def mutate_bytes(self, data: bytes) -> bytes:
        """Bytes that are nearly those."""
        at = self.rng.randint(0, len(data))
        return self.rng.choice(
            [
                data[:at],
                data[:at] + self.rng.randbytes(1) + data[at + 1 :],
                data[:at] + self.rng.randbytes(5) + data[at:],
                data * 50,
                b"",
                self.rng.randbytes(self.rng.randint(0, 3000)),
            ]
        )

    def _chunk(self, kind: Descriptor) -> Message:
        """A chunk to upload, which is what it says unless it is a wild one."""
        content = self.rng.randbytes(self.rng.randint(1, 2000))
        zstd = self.rng.random() < 0.3
        chunk: Message = GetMessageClass(kind)(
            hash=blake3(content).digest(),
            size=len(content),
            compression=2 if zstd else 1,
            data=zstandard.ZstdCompressor().compress(content) if zstd else content,
        )
        if self.is_wild():
            self.fill(chunk, self.rng.choice(kind.fields))
        return chunk
