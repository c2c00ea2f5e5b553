"""What `edgevid data` does with a data folder: says what is in it, indexes, re-encodes and packs it."""
