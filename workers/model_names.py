"""The models of the pipeline that cdc-worker replaces, by the categories they had there, and why some are not here."""

CATEGORIES: dict[str, tuple[str, ...]] = {
    "Domain records": (
        "UsersRecord", "OrgsRecord", "GroupsRecord", "UserScopesRecord", "ProfilesRecord", "ChannelsRecord",
        "PoolRecord", "CallStatusRecord", "CallCenterAgentRecord", "CallCenterQueueRecord", "AvailabilityLogRecord",
        "GroupMapsLogRecord",
    ),
    "Kinesis and stream": (
        "KinesisDecodedData", "KinesisDecodedMetadata", "KinesisRecordMetadata", "KinesisRecordAttributes",
        "ExtendedKinesisStreamRecord", "ExtendedKinesisDecodedData", "ExtendedKinesisRecordAttributes", "RecordData",
    ),
    "Enrichment": (
        "Enrichment", "RecordsEnrichment", "UsersEnrichment", "UserScopesEnrichment", "GroupMapsLogEnrichment",
        "CallCenterAgentEnrichment", "CallCenterQueueEnrichment", "CallStatusEnrichment",
        "AvailabilityLogEnrichment", "PoolEnrichment",
    ),
    "Events": (
        "NormalizedRecord", "RecordMetadata", "RecordType", "EventBridgeEventFailure", "LambdaResponse",
        "EventBridgeHC",
    ),
    "Configuration": (
        "Environment", "EnvVariables", "DatabaseCredentials", "SSMConfigParams", "SSMDBParametersName",
        "ParameterResponse", "ParameterHandlerProps", "ParameterOptions", "RedactionConfig", "ObjectRedaction",
        "LoggerConfigOptions", "LoggerRedaction",
    ),
    "Infrastructure": (
        "DynamoDBActionParams", "PreparedQuery", "DatabaseInstanceStatus", "ProfilesGetOrgResponse",
        "GroupsMapLogGetOrgResponse", "ChannelsGetOrgAndUserResponse", "IRequester", "HeaderItem",
    ),
    "Utilities": (
        "IRedactor", "RegexRedaction", "MockedRecordType", "RedactionRule", "ClassifiedError", "RetryConfig",
        "RetryResult", "CircuitBreakerConfig", "Checkpoint", "DLQMessage",
    ),
    "Enumerations": (
        "DatabaseActionEnum", "RecordTypeEnum", "Environment", "EventBridgeHC", "DatabaseInstanceStatus",
        "ErrorCategory", "RedactionAction", "CircuitState", "DlqAction",
    ),
}  # fmt: skip
"""75 names; three enumerations stand in two categories."""

PAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "records": ("Domain records and enrichment", ("Domain records", "Enrichment")),
    "events": ("Stream and events", ("Kinesis and stream", "Events")),
    "configuration": (
        "Configuration, infrastructure, utilities", ("Configuration", "Infrastructure", "Utilities", "Enumerations"),
    ),
}  # fmt: skip
"""Page -> (title, categories)."""

TEST_KIT = frozenset({"MockedRecordType"})
"""Used by tests alone, on purpose."""

_NO_DATABASE = "owners are asked from lookups that other tables feed; no database is asked"
_NO_SSM = "settings come from the environment and from files; SSM is not read"
MISSING: dict[str, str] = {
    "DatabaseCredentials": _NO_DATABASE,
    "PreparedQuery": _NO_DATABASE,
    "DatabaseInstanceStatus": _NO_DATABASE,
    "ProfilesGetOrgResponse": "owners of profiles come from the lookups of users and groups; no query answers with one",
    "GroupsMapLogGetOrgResponse": "owners of group memberships come from the lookup of groups; no query answers "
    "with one",
    "ChannelsGetOrgAndUserResponse": "owners of channels come from the lookups of users and groups; no query answers "
    "with one",
    "SSMConfigParams": _NO_SSM,
    "SSMDBParametersName": _NO_SSM,
    "ParameterResponse": _NO_SSM,
    "ParameterHandlerProps": _NO_SSM,
    "ParameterOptions": _NO_SSM,
    "CircuitBreakerConfig": "what is away is tried again with growing waits (`RetryConfig`); nothing is given up",
    "CircuitState": "what is away is tried again with growing waits (`RetryConfig`); nothing is given up",
    "RetryResult": "a call ends as an outcome (`Delivered`, `Retry`, `Undeliverable`) or an exception; a pair of "
    "result and error would be a third way to say the same",
    "HeaderItem": "headers are pairs of name and bytes, as Kafka's clients take them; a class of its own would be made "
    "for each of a million records, and used nowhere else",
}
"""Name -> why there is no such class, as long as there is none."""
