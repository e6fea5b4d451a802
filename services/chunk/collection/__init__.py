"""Collection: what nobody refers to any more goes, and what is stored is checked."""
