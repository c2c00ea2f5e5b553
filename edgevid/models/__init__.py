"""A model file: its manifest, its backend, one call contract for clip and stream models."""
