"""Checks of the scratch directory: whether it can be written, and how much is free beneath it."""

import shutil
import tempfile
from pathlib import Path

from workers.checks.findings import Finding
from workers.settings.worker import MEBIBYTE, Settings

LEAST_FREE = 100 * MEBIBYTE


def check_disk(settings: Settings) -> list[Finding]:
    """Nothing stays: a file without a name is written and gone. A directory that is not there yet is not made."""
    there = _nearest(settings.data_dir)
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"cdc")
            file.flush()
    except OSError as error:
        told = f"{settings.data_dir} cannot be written: {error.strerror or type(error).__name__}"
        return [Finding.of("disk.unwritable", "CDC_DATA_DIR", told)]
    free = shutil.disk_usage(there).free
    if free < LEAST_FREE:
        return [Finding.of("disk.space", "CDC_DATA_DIR", f"{free // MEBIBYTE} MiB are free")]
    return []


def _nearest(path: Path) -> Path:
    """The directory itself, or the nearest one above it that is there."""
    whole = path.absolute()
    return next(found for found in (whole, *whole.parents) if found.exists())
