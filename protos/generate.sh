#!/bin/sh
# Generates protos/gen from protos/dits. `make protos` runs it; `make check` proves that the result is committed.
set -eu
cd "$(dirname "$0")/.."
out=${1:-protos/gen}
python=${PYTHON:-.venv/bin/python}
PATH="$(dirname "$python"):$PATH"
rm -rf "$out/dits"
mkdir -p "$out"
find protos/dits -name '*.proto' | LC_ALL=C sort | xargs "$python" -m grpc_tools.protoc -I protos \
    --include_source_info --include_imports --descriptor_set_out="$out/descriptors.binpb" \
    --python_out="$out" --grpc_python_out="$out" --mypy_out="quiet:$out" --mypy_grpc_out="quiet:$out"
# A file without a service leaves an empty stub module behind.
find "$out/dits" -name '*_pb2_grpc.py' | while read -r stub; do
    grep -q '^class .*Stub' "$stub" || rm -f "$stub" "${stub%.py}.pyi"
done
find "$out/dits" -type d -exec touch {}/__init__.py \;
# Programs that call the stubs are checked against their types.
touch "$out/dits/py.typed"
# With the comments: what reflection serves, so that `describe` reads like the manual.
mv "$out/descriptors.binpb" "$out/dits/descriptors.binpb"
