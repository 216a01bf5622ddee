"""Findings of `cdc check`: every kind with its stable id, how bad it is, and what to do about it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from workers.failures import ExitCode

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding. An error ends the command with `code`."""

    severity: Severity
    action: str
    code: ExitCode = ExitCode.CONFIGURATION


KINDS: dict[str, Kind] = {
    "settings.invalid": Kind("error", "mend it in the environment or .env; .env.example lists every setting"),
    "tables.invalid": Kind("error", "mend the file that CDC_TABLES names"),
    "tables.example": Kind("error", "mend the example, or the rules of its table"),
    "tables.where-column": Kind("warning", "is it spelled as in the source? `columns` of the table takes it up"),
    "redaction.key": Kind(
        "error", "set CDC_REDACTION_KEY or CDC_REDACTION_KEY_FILE to at least 16 characters, and keep it"
    ),
    "redaction.off": Kind("warning", "set ENABLE_DATA_REDACTION=true, unless nothing here is worth hiding"),
    "ssm.parameter": Kind("error", "create the parameter, or mend the CDC_SSM_* setting and AWS_REGION"),
    "ssm.denied": Kind(
        "error",
        "allow ssm:GetParameters on the parameters, and kms:Decrypt on the key that encrypts them",
        ExitCode.DENIED,
    ),
    "ssm.unreachable": Kind("error", "are AWS_REGION, AWS_ENDPOINT_URL and the network right?", ExitCode.UNREACHABLE),
    "database.settings": Kind("error", "mend DATABASE_URL, its file or its parameters, or unset them"),
    "database.unreachable": Kind(
        "error",
        "is it running, and are the host of DATABASE_URL and the network right? Records may wait for it",
        ExitCode.UNREACHABLE,
    ),
    "database.denied": Kind(
        "error", "check user and password of DATABASE_URL, and pg_hba.conf of the server", ExitCode.DENIED
    ),
    "database.query": Kind(
        "error", "create the table, grant SELECT, or give the lookup a query of its own: provides.query in tables.yaml"
    ),
    "bus.address": Kind("error", "mend EVENT_SOURCE, or event_types of the table in tables.yaml"),
    "bus.credentials": Kind(
        "error",
        "check where boto3 finds credentials (environment, profile, role of the machine), and AWS_REGION",
        ExitCode.DENIED,
    ),
    "bus.unreachable": Kind("error", "are AWS_REGION, AWS_ENDPOINT_URL and the network right?", ExitCode.UNREACHABLE),
    "bus.missing": Kind(
        "error", "create it, or mend EVENT_BUS_NAME and AWS_REGION; until then the publisher sends nothing"
    ),
    "bus.account": Kind("error", "mend EVENT_BUS_NAME, AWS_ACCOUNT_ID or the credentials"),
    "bus.unseen": Kind(
        "warning", "allow events:DescribeEventBus: a classic bus that is missing takes events, and they go nowhere"
    ),
    "bus.no-rule": Kind(
        "warning", "create a rule with a target, or enable it; `cdc schema export` has the event types"
    ),
    "bus.rules-unseen": Kind("warning", "allow events:ListRules and events:ListTargetsByRule to have rules checked"),
    "bus.max-bytes": Kind("warning", "lower CDC_PUT_EVENTS_MAX_BYTES, unless every target takes as much"),
    "claim-check.bucket": Kind("error", "create the bucket, or mend CDC_CLAIM_CHECK_BUCKET: large events wait for it"),
    "claim-check.unseen": Kind(
        "warning", "allow s3:ListBucket on the bucket to have it checked; the publisher needs s3:PutObject"
    ),
    "archive.bucket": Kind("error", "create it in AWS_REGION, or mend DLQ_ARCHIVE_BUCKET"),
    "archive.encryption": Kind(
        "warning", "give the bucket a default encryption, or set CDC_ARCHIVE_ENCRYPTION to aws:kms or AES256"
    ),
    "archive.queue": Kind("error", "create the queue, or mend CDC_DLQ_QUEUE_URL"),
    "archive.topic": Kind("error", "create the topic, or mend ALERT_TOPIC_ARN"),
    "archive.denied": Kind(
        "warning", "docs/archive.md has the permissions; the worker may write without those to look", ExitCode.DENIED
    ),
    "archive.unreachable": Kind(
        "error", "are AWS_REGION, AWS_ENDPOINT_URL and the network right? Letters wait for it", ExitCode.UNREACHABLE
    ),
    "kafka.settings": Kind("error", "mend the CDC_KAFKA_* setting or the file it names"),
    "kafka.plaintext": Kind(
        "warning", "set CDC_KAFKA_SECURITY_PROTOCOL to SASL_SSL or SSL, or keep the network between to yourself"
    ),
    "kafka.hostname": Kind("warning", "set CDC_KAFKA_CHECK_HOSTNAME=true: any certificate of the authority is taken"),
    "kafka.unreachable": Kind(
        "error", "is it running, and are KAFKA_BOOTSTRAP_SERVERS and the network right?", ExitCode.UNREACHABLE
    ),
    "kafka.server-away": Kind("warning", "the others answer; is the name in KAFKA_BOOTSTRAP_SERVERS still right?"),
    "kafka.auth": Kind(
        "error",
        "check CDC_KAFKA_SASL_MECHANISM and the user, password or token that goes with it",
        ExitCode.DENIED,
    ),
    "kafka.tls": Kind(
        "error",
        "check CDC_KAFKA_SECURITY_PROTOCOL, CDC_KAFKA_CA_FILE and the client certificate, and that the broker's "
        "certificate names the host",
    ),
    "kafka.protocol": Kind(
        "error", "does this port speak the protocol of CDC_KAFKA_SECURITY_PROTOCOL?", ExitCode.UNREACHABLE
    ),
    "broker.version": Kind("warning", "the worker is developed against Kafka 3.7 and newer: update the brokers"),
    "broker.api": Kind("error", "exactly once needs a broker with transactions: update it"),
    "broker.transactions": Kind(
        "error",
        "the topics __transaction_state and __consumer_offsets must be writable: enough brokers for their "
        "replication factor and min.insync.replicas?",
    ),
    "broker.transactions-denied": Kind(
        "error", "allow the transactional ids and groups that begin with CDC_APP and a dash", ExitCode.DENIED
    ),
    "broker.group-denied": Kind("error", "allow the worker to read its consumer group", ExitCode.DENIED),
    "broker.session-timeout": Kind(
        "error", "set CDC_SESSION_TIMEOUT between group.min.session.timeout.ms and group.max.session.timeout.ms"
    ),
    "broker.offsets-retention": Kind(
        "warning", "raise offsets.retention.minutes: a stage that is off for longer has lost its position"
    ),
    "broker.auto-create": Kind(
        "warning", "set auto.create.topics.enable=false: a topic that is missing must be noticed, not made anew"
    ),
    "broker.internal-topic": Kind("warning", "give it three replicas and min.insync.replicas=2"),
    "broker.unreadable": Kind("warning", "allow DescribeConfigs on the cluster to have its settings checked"),
    "topic.missing": Kind("error", "create it; README.md has the command, ENVIRONMENT=LOCAL does it by itself"),
    "topic.denied": Kind("error", "allow the worker to describe, read and write the topic", ExitCode.DENIED),
    "topic.partitions": Kind(
        "error", "CDC_PARTITIONS and CDC_SOURCE_SLOTS are fixed for the life of a prefix: set them to what is there"
    ),
    "topic.cleanup-policy": Kind("error", "alter cleanup.policy of the topic"),
    "topic.retention": Kind("error", "set retention.bytes=-1: a size limit deletes what nobody has read"),
    "topic.retention-time": Kind("warning", "raise retention.ms, or be back within this time after every outage"),
    "topic.segments": Kind(
        "warning", "lower segment.bytes: only closed segments are compacted, and whoever takes over reads the rest"
    ),
    "topic.max-message-bytes": Kind("error", "raise max.message.bytes of the topic"),
    "topic.replication": Kind("warning", "give it three replicas: with fewer one lost disk loses records"),
    "topic.min-isr": Kind("warning", "set min.insync.replicas=2: with 1 an acknowledged record can be lost"),
    "topic.min-isr-impossible": Kind("error", "lower min.insync.replicas or add replicas: nothing can be written"),
    "topic.offline": Kind("error", "bring the brokers of these partitions back", ExitCode.UNREACHABLE),
    "topic.under-replicated": Kind("warning", "bring the missing replicas back"),
    "topic.unclean-election": Kind(
        "error", "set unclean.leader.election.enable=false: it elects leaders that lack committed records"
    ),
    "topic.unreadable": Kind("warning", "allow DescribeConfigs on the topic to have its settings checked"),
    "size-ladder": Kind(
        "error", "keep Kinesis record (10 MiB) < raw < dead <= what a broker takes, or a poison record stops its slot"
    ),
}
"""Ids are stable: scripts and alerts may depend on them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. No text holds a secret or a value of a row (P6)."""

    id: str
    severity: Severity
    subject: str
    """What it is about: a setting, a file, a server, a topic."""
    message: str
    action: str

    @classmethod
    def of(cls, kind: str, subject: str, message: str, *, severity: Severity | None = None) -> "Finding":
        """A finding of a known kind; `severity` differs from the kind's where the environment allows it."""
        known = KINDS[kind]
        return cls(kind, severity or known.severity, subject, message, known.action)


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, in order, and what was found."""

    checked: tuple[str, ...]
    skipped: tuple[str, ...]
    """Checks that could not be made because of a finding before them."""
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> ExitCode:
        """0 without errors; else what must be mended first: configuration, then permissions, then what is away."""
        codes = [KINDS[finding.id].code for finding in self.findings if finding.severity == "error"]
        return min(codes, default=ExitCode.OK)

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "ok": self.exit_code == ExitCode.OK,
            "exit_code": int(self.exit_code),
            "checked": list(self.checked),
            "skipped": list(self.skipped),
            "findings": [asdict(finding) for finding in self.findings],
        }


def count(findings: Iterable[Finding], severity: Severity) -> int:
    """How many findings are as bad as that."""
    return sum(finding.severity == severity for finding in findings)
