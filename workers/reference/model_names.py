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

MISSING: dict[str, str] = {
    "ProfilesGetOrgResponse": "owners of profiles come from the lookups of users and groups, whose queries answer with "
    "`GroupsMapLogGetOrgResponse` or `ChannelsGetOrgAndUserResponse`",
    "RetryResult": "a call ends as an outcome (`Delivered`, `Retry`, `Undeliverable`) or an exception; a pair of "
    "result and error would be a third way to say the same",
    "HeaderItem": "headers are pairs of name and bytes, as Kafka's clients take them; a class of its own would be made "
    "for each of a million records, and used nowhere else",
}
"""Name -> why there is no such class."""
