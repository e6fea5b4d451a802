"""Bytes and names: cutting into chunks, compressing, building manifests."""
