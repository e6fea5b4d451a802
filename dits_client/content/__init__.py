"""Bytes and their hashes: chunks, compression, manifests."""
