"""What a worker logs, and how."""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.log_echoes import EchoFilter
from workers.log_redaction import LoggerRedaction

LIBRARIES = ("faust", "mode", "aiokafka", "asyncio", "botocore", "boto3", "urllib3", "kafka", "aiohttp")
LINE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
QUIET: Mapping[int, tuple[str, ...]] = {
    logging.ERROR: LIBRARIES,
    logging.WARNING: ("workers",),  # mode logs the life of every service under the module that defines it
    logging.CRITICAL: ("aiokafka.consumer.group_coordinator",),  # says ERROR while a coordinator is being elected
}


@dataclass(frozen=True, slots=True)
class LoggerConfigOptions:
    """Where the lines of a process go, and which ones are written."""

    level: str
    """DEBUG, INFO, WARNING or ERROR."""
    libraries: tuple[str, ...] = LIBRARIES
    """Loggers of others: each sentence of theirs is written once in a while."""
    quiet: Mapping[int, tuple[str, ...]] = field(default_factory=lambda: QUIET)
    """Level -> loggers that write nothing below it."""

    def apply(self) -> None:
        """Set up logging of this process: lines on stderr."""
        logging.basicConfig(
            stream=sys.stderr,
            level=self.level,
            force=True,
        )
        for level, names in self.quiet.items():
            for name in names:
                # Never DEBUG: there the clients log the bytes they send (P6).
                logging.getLogger(name).setLevel(logging.INFO if self.level == "DEBUG" else level)
        for handler in logging.getLogger().handlers:
            handler.addFilter(EchoFilter(self.libraries))
            handler.setFormatter(LoggerRedaction(LINE))
