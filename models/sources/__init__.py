"""Wire formats: bytes to Change. All knowledge of a format lives in its module."""
