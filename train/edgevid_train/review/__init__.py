"""A page on which wrong labels and bad pictures are seen at once."""
