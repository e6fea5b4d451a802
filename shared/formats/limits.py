"""The limits of trees and pushes that the server publishes in GetCapabilities. Pure."""

# Bytes of a full path.
MAX_PATH_BYTES = 1_024
# Directories in one another, the top one included.
MAX_DEPTH = 256
# Files, links and directories below the top of a tree, at any depth, each as often as a path leads to it.
MAX_TREE_ENTRIES = 4_000_000
# Bytes of the files below a directory: what PostgreSQL's bigint holds, with room to add.
MAX_TREE_BYTES = 1 << 62
# Chunks of one file: 1 TiB at the recommended 256 KiB each.
MAX_FILE_CHUNKS = 1 << 22
# Chunks of the files that are new in one push.
MAX_PUSH_CHUNKS = 1 << 23
# Of one push, as it is sent.
MAX_PUSH_BYTES = 128 << 20
MAX_PUSH_MANIFESTS = 100_000
MAX_PUSH_COMMITS = 50_000
# Paths that one move of branches changes.
MAX_CHANGED_PATHS = 1_000_000
