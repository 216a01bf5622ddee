"""Kinds of findings of `cdc check` about Kafka: connection, brokers, topics."""

from workers.checks.kinds import OTHER_KINDS, Kind
from workers.failures import ExitCode

DENIED, AWAY = ExitCode.DENIED, ExitCode.UNREACHABLE

KAFKA_KINDS: dict[str, Kind] = {
    "kafka.settings": Kind(
        "kafka", "error", "The connection to Kafka cannot be made of the settings.",
        "mend the setting of the connection, or the file it names",
    ),
    "kafka.plaintext": Kind(
        "kafka", "warning", "Records, and perhaps credentials, can be read on the network.",
        "set CDC_KAFKA_SECURITY_PROTOCOL to SASL_SSL or SSL, or keep the network between to yourself",
    ),
    "kafka.hostname": Kind(
        "kafka", "warning", "Any certificate of the authority is taken for that of a broker.",
        "set CDC_KAFKA_CHECK_HOSTNAME=true",
    ),
    "kafka.unreachable": Kind(
        "kafka", "error", "No server of KAFKA_BOOTSTRAP_SERVERS answers.",
        "is it running, and are KAFKA_BOOTSTRAP_SERVERS and the network right?", AWAY,
    ),
    "kafka.server-away": Kind(
        "kafka", "warning", "One of several bootstrap servers does not answer.",
        "the others answer; is the name in KAFKA_BOOTSTRAP_SERVERS still right?",
    ),
    "kafka.dns": Kind(
        "kafka", "error", "The name of a bootstrap server is not known to DNS.",
        "mend KAFKA_BOOTSTRAP_SERVERS, or the resolver of this machine (in a cluster: the name of the service)", AWAY,
    ),
    "kafka.auth": Kind(
        "kafka", "error", "Kafka does not take the login.",
        "check CDC_KAFKA_SASL_MECHANISM and the user, password or token that goes with it", DENIED,
    ),
    "kafka.tls": Kind(
        "kafka", "error", "There is no encrypted connection: the certificate or the protocol is wrong.",
        "check CDC_KAFKA_SECURITY_PROTOCOL, CDC_KAFKA_CA_FILE and the client certificate, and that the broker's "
        "certificate names the host",
    ),
    "kafka.certificate": Kind(
        "kafka", "warning", "A certificate (a broker's, an authority's, the worker's own) ends within 30 days, "
        "or has ended.",
        "renew it; brokers and workers read theirs when they start",
    ),
    "kafka.protocol": Kind(
        "kafka", "error", "Something answers, and cuts the connection.",
        "does this port speak the protocol of CDC_KAFKA_SECURITY_PROTOCOL?", AWAY,
    ),
    "broker.address": Kind(
        "kafka", "error", "A broker cannot be reached where it says it is.",
        "mend advertised.listeners of the broker, or DNS and network: clients are sent there from the bootstrap "
        "servers", AWAY,
    ),
    "broker.version": Kind(
        "kafka", "warning", "The brokers are older than those the worker is developed with.",
        "the worker is developed against Kafka 3.7 and newer: update the brokers",
    ),
    "broker.api": Kind(
        "kafka", "error", "The brokers do not know requests that exactly once needs.",
        "exactly once needs a broker with transactions: update it",
    ),
    "broker.transactions": Kind(
        "topics", "error", "A transaction did not come to its end.",
        "the topics __transaction_state and __consumer_offsets must be writable: enough brokers for their "
        "replication factor and min.insync.replicas?",
    ),
    "broker.transactions-denied": Kind(
        "topics", "error", "Kafka does not let the worker use transactions.",
        "allow the transactional ids and groups that begin with CDC_APP and a dash", DENIED,
    ),
    "broker.group-denied": Kind(
        "kafka", "error", "Kafka does not let the worker look at its consumer group.",
        "allow the worker to read its consumer group", DENIED,
    ),
    "broker.session-timeout": Kind(
        "kafka", "error", "Brokers do not allow the session time-out of the workers.",
        "set CDC_SESSION_TIMEOUT between group.min.session.timeout.ms and group.max.session.timeout.ms",
    ),
    "broker.offsets-retention": Kind(
        "kafka", "warning", "Brokers forget the positions of a stage that is off for less than a week.",
        "raise offsets.retention.minutes: a stage that is off for longer has lost its position",
    ),
    "broker.offset-metadata": Kind(
        "kafka", "error", "Brokers take less beside a position than the stage enrich may write there.",
        "raise offset.metadata.max.bytes of the brokers, or have fewer lookups: a commit they refuse stops the stage",
    ),
    "broker.auto-create": Kind(
        "kafka", "warning", "Brokers make topics that are asked for, with settings nobody chose.",
        "set auto.create.topics.enable=false: a topic that is missing must be noticed, not made anew",
    ),
    "broker.internal-topic": Kind(
        "kafka", "warning", "Kafka's own topics have fewer replicas than ours.",
        "give it three replicas and min.insync.replicas=2",
    ),
    "broker.unreadable": Kind(
        "kafka", "warning", "Settings of a broker cannot be read.",
        "allow DescribeConfigs on the cluster to have its settings checked",
    ),
    "topic.missing": Kind(
        "topics", "error", "A planned topic is not there.",
        "`cdc topics apply` creates it; ENVIRONMENT=LOCAL does it by itself",
    ),
    "topic.denied": Kind(
        "topics", "error", "The worker may not see a topic.",
        "allow the worker to describe, read and write the topic", DENIED,
    ),
    "topic.partitions": Kind(
        "topics", "error", "A topic has other partitions than the settings say.",
        "CDC_PARTITIONS and CDC_SOURCE_SLOTS are fixed for the life of a prefix: set them to what is there",
    ),
    "topic.cleanup-policy": Kind(
        "topics", "error", "A topic deletes where it should compact, or the other way round.",
        "alter cleanup.policy of the topic",
    ),
    "topic.retention": Kind(
        "topics", "error", "A topic is limited in size.",
        "set retention.bytes=-1: a size limit deletes what nobody has read; `cdc topics apply` does it",
    ),
    "topic.retention-time": Kind(
        "topics", "warning", "Records go earlier than planned.",
        "raise retention.ms, or be back within this time after every outage; `cdc topics apply` does it",
    ),
    "topic.segments": Kind(
        "topics", "warning", "Segments of a compacted topic close late.",
        "lower segment.bytes: only closed segments are compacted, and whoever takes over reads the rest; `cdc "
        "topics apply` does it",
    ),
    "topic.max-message-bytes": Kind(
        "topics", "error", "A topic does not take the largest record it may get.",
        "raise max.message.bytes of the topic; `cdc topics apply` does it",
    ),
    "topic.replication": Kind(
        "topics", "warning", "A topic has fewer than three replicas.",
        "give it three replicas: with fewer one lost disk loses records",
    ),
    "topic.min-isr": Kind(
        "topics", "warning", "A write is acknowledged when one replica has it.",
        "set min.insync.replicas=2: with 1 an acknowledged record can be lost; `cdc topics apply` does it",
    ),
    "topic.min-isr-impossible": Kind(
        "topics", "error", "A topic asks for more replicas in sync than it has.",
        "lower min.insync.replicas or add replicas: nothing can be written",
    ),
    "topic.offline": Kind(
        "topics", "error", "Partitions cannot be written now.",
        "bring the brokers of these partitions back", AWAY,
    ),
    "topic.under-replicated": Kind(
        "topics", "warning", "Replicas of a topic lag behind.",
        "bring the missing replicas back",
    ),
    "topic.unclean-election": Kind(
        "topics", "error", "A replica that lags may become leader.",
        "set unclean.leader.election.enable=false: it elects leaders that lack committed records; `cdc topics "
        "apply` does it",
    ),
    "topic.unreadable": Kind(
        "topics", "warning", "Settings of a topic cannot be read.",
        "allow DescribeConfigs on the topic to have its settings checked",
    ),
    "size-ladder": Kind(
        "topics", "error", "A record that one topic or broker takes is too large for the next one.",
        "keep Kinesis record (10 MiB) < raw < dead <= what a broker takes, or a poison record stops its slot",
    ),
}  # fmt: skip

KINDS: dict[str, Kind] = OTHER_KINDS | KAFKA_KINDS
"""Ids are stable: scripts and alerts may depend on them."""
