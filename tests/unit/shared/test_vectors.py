"""The published vectors: our code gives exactly these bytes, and so does a second implementation."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from dits.repo.v1.manifest_pb2 import (
    CommitContent,
    Directory,
    Entry,
    File,
    Manifest,
    Signer,
    Symlink,
    TagContent,
)

from dits_client.content.chunking import Cut, Cutter
from dits_client.content.manifest import make_file_entry
from shared.formats.canonical import FormatError, split_hashes
from shared.formats.commits import commit_hash, decode_commit, encode_commit
from shared.formats.manifests import decode_manifest, encode_manifest
from shared.formats.profiles import PROFILES
from shared.formats.recipes import decode_recipe, encode_list, encode_recipe, file_chunks
from shared.formats.ssh_keys import parse_key_line
from shared.formats.sshsig import BadSignature, parse_signature, verify_signature
from shared.formats.tags import decode_tag, encode_tag, tag_hash
from tests.support import reference

Vector = Mapping[str, Any]
Chunks = Sequence[tuple[str, int]]

FOLDER = Path(__file__).parents[3] / "protos" / "vectors"
CUTS = json.loads((FOLDER / "cuts.json").read_text())
RECIPES = json.loads((FOLDER / "recipes.json").read_text())
MANIFESTS = json.loads((FOLDER / "manifests.json").read_text())
COMMITS = json.loads((FOLDER / "commits.json").read_text())
TAGS = json.loads((FOLDER / "tags.json").read_text())
SIGNATURES = json.loads((FOLDER / "signatures.json").read_text())
CUTS_BY_NAME = {vector["name"]: vector for vector in CUTS["cuts"]}


def each(vectors: Sequence[Vector]) -> pytest.MarkDecorator:
    """The test runs once for each of some vectors."""
    return pytest.mark.parametrize("vector", vectors, ids=[vector["name"] for vector in vectors])


def packed(chunks: Chunks) -> tuple[bytes, list[int]]:
    """Concatenated hashes, and sizes."""
    return bytes.fromhex("".join(digest for digest, _ in chunks)), [size for _, size in chunks]


def chunks_of(described: Any) -> Chunks:
    """The chunk list that a recipe vector describes."""
    if isinstance(described, list):
        return [(digest, size) for digest, size in described]
    if "of" in described:
        return chunks_of(CUTS_BY_NAME[described["of"]]["chunks"])
    return [
        (blake3(n.to_bytes(4, "big")).hexdigest(), 1 + n % 300_000)
        for n in range(described["count"])
    ]


def cut(vector: Vector) -> Cut:
    """The cuts of our client."""
    content = io.BytesIO(reference.input_bytes(vector["input"]))
    return Cutter().cut(content.readinto, len(content.getvalue()))


@each(CUTS["cuts"])
def test_our_cuts(vector: Vector) -> None:
    found = cut(vector)
    assert (found.hashes, found.sizes) == packed(vector["chunks"])
    assert found.content_hash.hex() == vector["hash"]
    fitting = [p for p in PROFILES if p.min_file_bytes <= found.size]
    assert {name: getattr(fitting[-1], name) for name in vector["profile"]} == vector["profile"]


@each([vector for vector in CUTS["cuts"] if vector["name"] != "large"])
def test_cuts_of_the_second_implementation(vector: Vector) -> None:
    content, profile = reference.input_bytes(vector["input"]), vector["profile"]
    least, average, most = (profile[f"{name}_bytes"] for name in ("min", "average", "max"))
    sizes = list(reference.cut_sizes(content, least, average, most))
    assert sizes == [size for _, size in vector["chunks"]]
    assert blake3(content).hexdigest() == vector["hash"]


@each(RECIPES["recipes"])
def test_recipes(vector: Vector) -> None:
    hashes, sizes = packed(chunks_of(vector["chunks"]))
    contents = list(encode_list(hashes, sizes))
    assert [(blake3(content).hexdigest(), len(content)) for content in contents] == [
        (recipe["hash"], recipe["size"]) for recipe in vector["recipes"]
    ]
    recipes = [decode_recipe(content) for content in contents]
    assert [encode_recipe(recipe) for recipe in recipes] == contents
    for content, recipe, shown in zip(contents, recipes, vector["recipes"], strict=True):
        assert content.hex() == shown.get("bytes", content.hex())
        digests = [digest.hex() for digest in split_hashes(recipe.chunk_hashes)]
        chunks = list(zip(digests, recipe.chunk_sizes, strict=True))
        assert reference.encode_recipe(chunks) == content
    names = bytes.fromhex("".join(recipe["hash"] for recipe in vector["recipes"]))
    file = File(size=int(vector["size"]), recipe_hashes=names)
    assert file_chunks(file, recipes) == (hashes, sizes)


@each(RECIPES["refused_recipes"])
def test_refused_recipes(vector: Vector) -> None:
    with pytest.raises(FormatError):
        decode_recipe(bytes.fromhex(vector["bytes"]))


@each(RECIPES["refused_lists"])
def test_refused_lists(vector: Vector) -> None:
    contents = [bytes.fromhex(recipe) for recipe in vector["recipes"]]
    names = b"".join(blake3(content).digest() for content in contents)
    file = File(size=int(vector["size"]), recipe_hashes=names)
    recipes = [decode_recipe(content) for content in contents]
    with pytest.raises(FormatError):
        file_chunks(file, recipes)


def read_file(file: Vector) -> File:
    hashes, sizes = packed(file.get("chunks", ()))
    return File(
        mode=int(file["mode"], 8),
        size=int(file["size"]),
        hash=bytes.fromhex(file["hash"]),
        chunk_hashes=hashes,
        chunk_sizes=sizes,
        recipe_hashes=bytes.fromhex("".join(file.get("recipe_hashes", ()))),
    )


def read_entry(entry: Vector) -> Entry:
    if "file" in entry:
        return Entry(name=entry["name"], file=read_file(entry["file"]))
    if "directory" in entry:
        digest = bytes.fromhex(entry["directory"]["manifest_hash"])
        return Entry(name=entry["name"], directory=Directory(manifest_hash=digest))
    return Entry(name=entry["name"], symlink=Symlink(**entry["symlink"]))


@each(MANIFESTS["manifests"])
def test_manifests(vector: Vector) -> None:
    content = bytes.fromhex(vector["bytes"])
    manifest = Manifest(entries=map(read_entry, vector["manifest"]["entries"]))
    assert encode_manifest(manifest) == content
    assert decode_manifest(content) == manifest
    assert reference.encode_manifest(vector["manifest"]) == content
    assert blake3(content).hexdigest() == vector["hash"]


@each(MANIFESTS["refused"])
def test_refused_manifests(vector: Vector) -> None:
    with pytest.raises(FormatError):
        decode_manifest(bytes.fromhex(vector["bytes"]))


def test_manifests_and_recipes_follow_from_the_cuts() -> None:
    (vector,) = (v for v in MANIFESTS["manifests"] if v["name"] == "the inputs of cuts.json")
    stored = {recipe["hash"] for vector in RECIPES["recipes"] for recipe in vector["recipes"]}
    for entry in vector["manifest"]["entries"]:
        found = cut(CUTS_BY_NAME[entry["name"].replace("_", " ")])
        file, recipes = make_file_entry(0o100644, found)
        assert file == read_file(entry["file"])
        assert {blake3(recipe).hexdigest() for recipe in recipes} <= stored


def read_signer(signer: Vector) -> Signer:
    return Signer(**{**signer, "time_us": int(signer["time_us"])})


@each(COMMITS["commits"])
def test_commits(vector: Vector) -> None:
    content, shown = bytes.fromhex(vector["bytes"]), vector["commit"]
    commit = CommitContent(
        tree_hash=bytes.fromhex(shown["tree_hash"]),
        parent_hashes=map(bytes.fromhex, shown["parent_hashes"]),
        author=read_signer(shown["author"]),
        committer=read_signer(shown["committer"]),
        message=shown["message"],
    )
    assert encode_commit(commit) == content
    assert decode_commit(content) == commit
    assert reference.encode_commit(shown) == content
    assert commit_hash(commit) == blake3(content).hexdigest() == vector["hash"]


@each(COMMITS["refused"])
def test_refused_commits(vector: Vector) -> None:
    with pytest.raises(FormatError):
        decode_commit(bytes.fromhex(vector["bytes"]))


@each(TAGS["tags"])
def test_tags(vector: Vector) -> None:
    content, shown = bytes.fromhex(vector["bytes"]), vector["tag"]
    tag = TagContent(
        commit_hash=bytes.fromhex(shown["commit_hash"]),
        name=shown["name"],
        tagger=read_signer(shown["tagger"]),
        message=shown["message"],
    )
    assert encode_tag(tag) == content
    assert decode_tag(content) == tag
    assert reference.encode_tag(shown) == content
    assert tag_hash(tag) == blake3(content).hexdigest() == vector["hash"]


@each(TAGS["refused"])
def test_refused_tags(vector: Vector) -> None:
    with pytest.raises(FormatError):
        decode_tag(bytes.fromhex(vector["bytes"]))


@each(SIGNATURES["signatures"])
def test_signatures(vector: Vector) -> None:
    signature = parse_signature(vector["armored"])
    key, _ = parse_key_line(SIGNATURES["public_key"])
    assert signature.key == key
    assert key.fingerprint == SIGNATURES["key_fingerprint"]
    content = bytes.fromhex(vector["bytes"])
    try:
        verify_signature(signature, content, vector["namespace"])
        is_good = True
    except BadSignature:
        is_good = False
    assert is_good == vector["is_good"]
