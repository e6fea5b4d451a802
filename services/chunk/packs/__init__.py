"""Packs: chunks on their way in and out."""
