"""Checks of secrets: whether a key looks made up, how old it is, and who may read its file. No value is shown (P6)."""

import itertools
import math
import re
import stat
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from workers.checks.findings import Finding
from workers.failures import ConfigurationError
from workers.settings.origins import names_of
from workers.settings.worker import Settings

LEAST_BITS = 39.0
"""Of Shannon's entropy over the characters of a secret; of 16 hex digits by chance one in a thousand has less."""
OLD = timedelta(days=365)
SECRET_FILE = re.compile(r"(key|password|secret|token|url)_file$")
MADE_HERE = re.compile(r"(^|_)(key|token)(_|$)")
"""Keys that are made for this worker alone; passwords of other systems follow their rules."""


def check_keys(settings: Settings, now: datetime) -> list[Finding]:
    """Every secret and every file of one. Parameters of SSM are not read."""
    found: list[Finding] = []
    for field, info in Settings.model_fields.items():
        value, name = getattr(settings, field), names_of(info)[0]
        if isinstance(value, SecretStr) and MADE_HERE.search(field) and is_weak(value.get_secret_value()):
            found.append(
                Finding.of(
                    "key.weak", name, "few different characters, a repetition, or characters that follow each other"
                )
            )
        if isinstance(value, Path) and SECRET_FILE.search(field):
            found += _check_file(name, value, now, key=MADE_HERE.search(field) is not None)
    return [*found, *_same_keys(settings)]


def is_weak(secret: str) -> bool:
    """Whether a secret has little entropy, repeats itself, or has mostly characters that follow each other (abc)."""
    if not secret:
        return False
    total = len(secret)
    bits = -sum(count * math.log2(count / total) for count in Counter(secret).values())
    pairs = list(itertools.pairwise(secret))
    runs = sum(abs(ord(one) - ord(next_one)) == 1 for one, next_one in pairs)
    repeats = secret in (secret + secret)[1:-1]
    return bits < LEAST_BITS or repeats or 2 * runs > len(pairs)


def _check_file(name: str, path: Path, now: datetime, *, key: bool) -> list[Finding]:
    try:
        there = path.stat()
        text = path.read_text(encoding="utf-8").strip() if key else ""
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        return [Finding.of("key.file", name, f"its file cannot be read: {why}")]
    found = []
    if there.st_mode & stat.S_IROTH:
        found.append(Finding.of("key.file-mode", name, f"its file has the mode {stat.S_IMODE(there.st_mode):o}"))
    if key and "-----BEGIN" not in text and is_weak(text):
        found.append(
            Finding.of("key.weak", name, "few different characters, a repetition, or characters that follow each other")
        )
    age = now - datetime.fromtimestamp(there.st_mtime, UTC)
    if name == "CDC_REDACTION_KEY_FILE" and age > OLD:
        found.append(Finding.of("key.age", name, f"it was changed {age.days} days ago"))
    return found


def _same_keys(settings: Settings) -> list[Finding]:
    if settings.redaction_key_other_version is None or settings.ssm_redaction_key:
        return []
    try:
        other = settings.other_redaction_secret()
        same = other is not None and other.key == settings.redaction_secret()
    except ConfigurationError:
        return []  # redaction.key says it
    told = "it is the same as CDC_REDACTION_KEY"
    return [Finding.of("key.same", "CDC_REDACTION_KEY_OTHER", told)] if same else []
