"""Placement: in which regions chunks lie, and where they are to lie."""
