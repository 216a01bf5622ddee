"""The workers seen from a command, which has the settings of one and is none."""

import contextlib
import time
from collections.abc import AsyncIterator

from workers.cluster.calls import SignedCluster
from workers.cluster.directory import GroupDirectory, KafkaGroups
from workers.cluster.key import WITHOUT, cluster_key
from workers.cluster.tls import cluster_tls
from workers.failures import ConfigurationError
from workers.settings.worker import Settings


@contextlib.asynccontextmanager
async def cluster_of(settings: Settings) -> AsyncIterator[SignedCluster]:
    """Every worker of the groups that the settings name. Raises ConfigurationError if they hold no key to ask with."""
    key = cluster_key(settings)
    if key is None:
        raise ConfigurationError("workers answer only who has their key", hint=WITHOUT)
    groups = KafkaGroups(settings)
    try:
        yield SignedCluster(None, "", GroupDirectory(groups), key, key, time.time, cluster_tls(settings))
    finally:
        await groups.close()
