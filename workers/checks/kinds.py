"""Every kind of finding of `cdc check` but those of Kafka: stable id, how bad it is, what it means, and what to do."""

from dataclasses import dataclass
from typing import Literal

from workers.failures import ExitCode

Severity = Literal["error", "warning"]
Section = Literal["config", "database", "kafka", "topics", "aws", "clock", "disk", "keys"]

SECTIONS: dict[Section, str] = {
    "config": "settings, tables.yaml with its examples, parameters in SSM, and whether redaction has what it needs",
    "database": "the database behind the lookups, and the query of each",
    "kafka": "names, connections, certificates and login of every server, what brokers can do and how they are set up",
    "topics": "every planned topic, and one transaction, which is aborted",
    "aws": "who the worker is to AWS, and whether it may read the streams and look at bus, buckets, queue and topic",
    "clock": "this machine's clock beside those of AWS and of whoever writes to Kafka",
    "disk": "the scratch directory",
    "keys": "strength and age of keys, and who may read their files",
}
"""In the order in which they are looked at."""

Check = Literal[
    "settings", "tables", "parameters", "redaction", "database", "connection", "brokers", "topics", "transactions",
    "identity", "streams", "bus", "archive", "clock", "disk", "keys",
]  # fmt: skip
CHECKS: dict[Check, Section] = {
    "settings": "config", "parameters": "config", "tables": "config", "redaction": "config", "database": "database",
    "connection": "kafka", "brokers": "kafka", "topics": "topics", "transactions": "topics", "identity": "aws",
    "streams": "aws", "bus": "aws", "archive": "aws", "clock": "clock", "disk": "disk", "keys": "keys",
}  # fmt: skip
"""Every check with its section, in order."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding. An error ends the command with `code`."""

    section: Section
    severity: Severity
    meaning: str
    action: str
    code: ExitCode = ExitCode.CONFIGURATION


def _error(section: Section, meaning: str, action: str, code: ExitCode = ExitCode.CONFIGURATION) -> Kind:
    return Kind(section, "error", meaning, action, code)


def _warning(section: Section, meaning: str, action: str, code: ExitCode = ExitCode.CONFIGURATION) -> Kind:
    return Kind(section, "warning", meaning, action, code)


NETWORK = "are AWS_REGION, AWS_ENDPOINT_URL and the network right?"

OTHER_KINDS: dict[str, Kind] = {
    "settings.invalid": _error(
        "config", "A setting is unknown, malformed, or contradicts another one.",
        "mend it in the environment or .env; docs/settings.md lists every setting",
    ),
    "tables.invalid": _error(
        "config", "tables.yaml has a mistake in this line.", "mend the file that CDC_TABLES names",
    ),
    "tables.lookups": _error(
        "config", "There are more lookups than a stage can keep account of.",
        "take `provides` from tables nobody looks up, shorten the names of lookups, or split the tables over two "
        "workers with a CDC_APP and a CDC_TOPIC_PREFIX of their own",
    ),
    "tables.example": _error(
        "config", "An example in tables.yaml gives something else than it says.",
        "mend the example, or the rules of its table",
    ),
    "tables.where-column": _warning(
        "config", "A condition asks for a column that nothing else knows.",
        "is it spelled as in the source? `columns` of the table takes it up",
    ),
    "tables.redact-column": _warning(
        "config", "`columns` does not list the column of a redaction rule, but one of nearly that name without a rule.",
        "spell it as the source does, or list both columns in `columns`",
    ),
    "redaction.key": _error(
        "config", "Tables hash or tokenize, and there is no key for it.",
        "set CDC_REDACTION_KEY or CDC_REDACTION_KEY_FILE to at least 16 characters, and keep it",
    ),
    "redaction.off": _warning(
        "config", "Events hold all values as they are.",
        "set ENABLE_DATA_REDACTION=true, unless nothing here is worth hiding",
    ),
    "ssm.parameter": _error(
        "config", "A parameter that a setting names does not exist, or holds no valid value.",
        "create the parameter, or mend the setting that names it and AWS_REGION",
    ),
    "ssm.denied": _error(
        "config", "AWS does not let the worker read a parameter.",
        "allow ssm:GetParameters on the parameters, and kms:Decrypt on the key that encrypts them", ExitCode.DENIED,
    ),
    "ssm.unreachable": _error("config", "AWS Systems Manager does not answer.", NETWORK, ExitCode.UNREACHABLE),
    "database.settings": _error(
        "database", "There is no usable address of the database, or its client is not installed.",
        "mend DATABASE_URL, its file or its parameters, or unset them",
    ),
    "database.unreachable": _error(
        "database", "The database does not answer.",
        "is it running, and are the host of DATABASE_URL and the network right? Records may wait for it",
        ExitCode.UNREACHABLE,
    ),
    "database.denied": _error(
        "database", "The database does not let the worker in, or not at this table.",
        "check user and password of DATABASE_URL, and pg_hba.conf of the server", ExitCode.DENIED,
    ),
    "database.query": _error(
        "database", "The query of a lookup does not work.",
        "create the table, grant SELECT, or give the lookup a query of its own: provides.query in tables.yaml",
    ),
    "aws.credentials": _error(
        "aws", "AWS does not take the credentials, or there are none.",
        "check where boto3 finds credentials (environment, profile, role of the machine), and that they have not ended",
        ExitCode.DENIED,
    ),
    "aws.identity": _warning(
        "aws", "STS does not answer, so it is not known who the worker is to AWS.",
        "needed only for roles and for this check: a VPC without internet needs an endpoint of STS",
    ),
    "aws.account": _warning(
        "aws", "The credentials are of another account than AWS_ACCOUNT_ID.",
        "mend the credentials or AWS_ACCOUNT_ID; streams and buses given by name are those of the credentials",
    ),
    "stream.missing": _error(
        "aws", "There is no such stream in this account and region.",
        "create it, or mend KINESIS_STREAM_NAME (sources.yaml) and AWS_REGION",
    ),
    "stream.status": _error(
        "aws", "The stream cannot be read yet or any more.", "wait until it is ACTIVE, or name another one",
    ),
    "stream.denied": _error(
        "aws", "AWS does not let the worker read the stream; the message names the action.",
        "allow the action on the stream (policy: docs/deployment.md); kms:Decrypt on the key of an encrypted one",
        ExitCode.DENIED,
    ),
    "stream.unreachable": _error("aws", "Kinesis does not answer.", NETWORK, ExitCode.UNREACHABLE),
    "bus.address": _error(
        "aws", "Events would have a source or detail type that EventBridge does not take.",
        "mend EVENT_SOURCE, or event_types of the table in tables.yaml",
    ),
    "bus.settings": _error("aws", "The way to a bus cannot be made of the settings.", "mend EVENT_BUS_NAME"),
    "bus.credentials": _error(
        "aws", "EventBridge does not take the credentials.",
        "check where boto3 finds credentials (environment, profile, role of the machine), and AWS_REGION",
        ExitCode.DENIED,
    ),
    "bus.unreachable": _error("aws", "EventBridge does not answer.", NETWORK, ExitCode.UNREACHABLE),
    "bus.missing": _error(
        "aws", "There is no such bus, or it takes no events.",
        "create it, or mend EVENT_BUS_NAME and AWS_REGION; until then the publisher sends nothing",
    ),
    "bus.account": _error(
        "aws", "The bus belongs to another account than AWS_ACCOUNT_ID.",
        "mend EVENT_BUS_NAME, AWS_ACCOUNT_ID or the credentials",
    ),
    "bus.unseen": _warning(
        "aws", "The bus may not be looked at, so nobody knows whether it is there.",
        "allow events:DescribeEventBus: a classic bus that is missing takes events, and they go nowhere",
    ),
    "bus.no-rule": _warning(
        "aws", "Events of this type reach no target.",
        "create a rule with a target, or enable it; `cdc schema export` has the event types",
    ),
    "bus.rules-unseen": _warning(
        "aws", "The rules of the bus may not be looked at.",
        "allow events:ListRules and events:ListTargetsByRule to have rules checked",
    ),
    "bus.max-bytes": _warning(
        "aws", "Events may be larger than some targets take.",
        "lower CDC_PUT_EVENTS_MAX_BYTES, unless every target takes as much",
    ),
    "claim-check.bucket": _error(
        "aws", "The bucket for events that are too large is not there.",
        "create the bucket, or mend CDC_CLAIM_CHECK_BUCKET: large events wait for it",
    ),
    "claim-check.unseen": _warning(
        "aws", "The bucket for large events may not be looked at.",
        "allow s3:ListBucket on the bucket to have it checked; the publisher needs s3:PutObject",
    ),
    "archive.bucket": _error(
        "aws", "The bucket for dead letters is not there.", "create it in AWS_REGION, or mend DLQ_ARCHIVE_BUCKET",
    ),
    "archive.encryption": _warning(
        "aws", "The bucket does not encrypt by itself, and the worker is told to leave it to the bucket.",
        "give the bucket a default encryption, or set CDC_ARCHIVE_ENCRYPTION to aws:kms or AES256",
    ),
    "archive.queue": _error(
        "aws", "The queue for pointers to dead letters is not there.", "create the queue, or mend CDC_DLQ_QUEUE_URL",
    ),
    "archive.topic": _error(
        "aws", "The SNS topic for alerts is not there.", "create the topic, or mend ALERT_TOPIC_ARN",
    ),
    "archive.denied": _warning(
        "aws", "The worker may not look at bucket, queue or topic; the message names the action.",
        "docs/archive.md has the permissions; the worker may write without those to look", ExitCode.DENIED,
    ),
    "archive.unreachable": _error(
        "aws", "S3, SQS or SNS does not answer.", f"{NETWORK} Letters wait for it", ExitCode.UNREACHABLE,
    ),
    "clock.skew": _warning(
        "clock", "This machine's clock and that of AWS differ by more than 30 s.",
        "set the clock by NTP (chronyd, or that of the host of the container): times in metrics and waits are wrong",
    ),
    "clock.refused": _error(
        "clock", "This machine's clock and that of AWS differ by more than 5 minutes: AWS refuses signatures.",
        "set the clock by NTP (chronyd, or that of the host of the container)",
    ),
    "clock.unseen": _warning(
        "clock", "AWS does not tell the time, so this machine's clock is compared with none.",
        "a matter of the network to AWS; on the machine itself, `chronyc tracking` or `timedatectl` tells",
    ),
    "clock.kafka": _warning(
        "clock", "Records of Kafka are of the future by this machine's clock: one of the two clocks is wrong.",
        "set the clocks of all workers by NTP; waits for owners count from the time of the record",
    ),
    "disk.unwritable": _error(
        "disk", "The scratch directory cannot be written.",
        "mend the owner or the mount of CDC_DATA_DIR, or name another directory: Faust does not start without it",
    ),
    "disk.space": _warning(
        "disk", "Less than 100 MiB are free beneath the scratch directory.", "free some, or move CDC_DATA_DIR",
    ),
    "key.weak": _warning(
        "keys", "A secret looks as if a person had made it up.",
        "`openssl rand -hex 32` makes a good one; docs/runbook.md says how a redaction key is changed",
    ),
    "key.same": _error(
        "keys", "Both redaction keys are the same, under two versions.",
        "a rotation needs another key: mend CDC_REDACTION_KEY or CDC_REDACTION_KEY_OTHER",
    ),
    "key.age": _warning(
        "keys", "The file of the redaction key was not changed for over a year.",
        "think of a rotation: docs/runbook.md",
    ),
    "key.file-mode": _warning(
        "keys", "Everybody on this machine may read the file of a secret.",
        "chmod 600 (or 640 for a group), or defaultMode: 0400 of the Secret's volume",
    ),
    "key.file": _error("keys", "The file of a secret cannot be read.", "mend the path or its permissions"),
}  # fmt: skip
