"""Where the key comes from that the workers of a cluster share."""

from workers.cluster.signature import ClusterKey, derived_key
from workers.failures import ConfigurationError
from workers.settings.field_types import secret_text
from workers.settings.worker import Settings

MIN_KEY = 32
WITHOUT = "set CDC_CLUSTER_KEY or CDC_CLUSTER_KEY_FILE (or a redaction key) on all workers, the same everywhere"


def cluster_key(settings: Settings) -> ClusterKey | None:
    """The set one, else out of the redaction key (while that is exchanged: out of both); None without any. May ask SSM.

    Raises ConfigurationError for a key that is short or a file that cannot be read."""
    if settings.cluster_key or settings.cluster_key_file:
        secret = secret_text("CDC_CLUSTER_KEY", settings.cluster_key, settings.cluster_key_file)
        if len(secret) < MIN_KEY:
            raise ConfigurationError(
                f"the cluster key has less than {MIN_KEY} characters", hint="`openssl rand -hex 32` makes a good one"
            )
        return ClusterKey((secret.encode(),))
    if not settings.has_redaction_key:
        return None
    other = settings.other_redaction_secret()
    secrets = [settings.redaction_secret(), *([other.key] if other else [])]
    return ClusterKey(tuple(map(derived_key, secrets)))
