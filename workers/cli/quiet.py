"""Libraries that would say in between what the command says itself."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

CLIENTS = ("aiokafka", "aiohttp", "asyncio", "boto3", "botocore", "faust", "kafka", "mode", "urllib3")


@contextmanager
def quiet(names: Iterable[str] = CLIENTS) -> Iterator[None]:
    """Only critical records of these loggers come through inside of the block."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
