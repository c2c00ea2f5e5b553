"""A model file: its manifest, its backend, one call contract for clip and stream models."""

DEFAULT_MODEL = "air-gesture"
"""The bundled model that commands use when none is named."""
