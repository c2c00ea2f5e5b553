"""edgevid: real-time video understanding on AR edge devices. This package is the runtime; it never imports torch."""

__version__ = "0.1.0"
