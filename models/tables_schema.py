"""JSON Schema of `tables.yaml` and `sources.yaml`, for editors: what one entry may say, with a text for each field.

The loaders (`models/tables_file.py`, `models/sources_file.py`) remain the judges: they also see what holds between
entries. Draft 7, because that is what editors read.
"""

import re
from typing import Any, get_args

from models.catalogue import TELEPHONY
from models.example import EVENT_FIELDS
from models.free_text import BUILT_IN
from models.outcome import Failure
from models.short_form import OPERATIONS
from models.source_spec import (
    ADAPTERS,
    ENDPOINT,
    EXTERNAL_ID,
    REGION,
    ROLE_ARN,
    SOURCE_NAME,
    STREAM_ARN,
    STREAM_NAME,
)
from models.sources.dms import PARTS
from models.sources_file import AFFIX, MAX_LOB_KIB
from models.tables import (
    DETAIL_TYPE_STYLES,
    AbsentColumns,
    ColumnType,
    MaskStyle,
    RedactionAction,
    Transformation,
    UnknownColumns,
)
from models.tables_file import WORDS

Schema = dict[str, Any]
DRAFT = "http://json-schema.org/draft-07/schema#"
NONE: Schema = {"const": "none"}
TEXT: Schema = {"type": ["string", "number", "boolean"], "minLength": 1}
NAME: Schema = {"type": ["string", "number"], "pattern": "^[A-Za-z0-9_-]+$"}


def tables_schema() -> Schema:
    """Of `tables.yaml`."""
    return {
        "$schema": DRAFT,
        "title": "tables.yaml of cdc-worker",
        "type": "object",
        "additionalProperties": False,
        "required": ["version"],
        "properties": {
            "version": {"enum": [1, "1"]},
            "detail_type_style": _told(_words(DETAIL_TYPE_STYLES), "For all tables that do not say it themselves."),
            "tables": _many({"$ref": "#/definitions/table"}),
        },
        "definitions": {
            "table": _table(),
            "redaction": _redaction(),
            "owner": _object(
                {"org": {"$ref": "#/definitions/ownerCases"}, "user": {"$ref": "#/definitions/ownerCases"}}
            ),
            "ownerCases": {"anyOf": [NONE, _many(_owner_case())]},
            "provides": _provides(),
            "example": _example(),
            "shortForm": _short_form(),
        },
    }


def sources_schema() -> Schema:
    """Of `sources.yaml`."""
    source = _object(
        {
            "name": _told(_text(SOURCE_NAME), "Of its topic, raw.<name>; for life."),
            "stream": _told({"anyOf": [_text(STREAM_ARN), _text(STREAM_NAME)]}, "Name or ARN."),
            "region": _told(_text(REGION), "Of a stream that is given by name."),
            "role": _told(_text(ROLE_ARN), "ARN of the role to assume for this stream."),
            "external_id": _told(_text(EXTERNAL_ID), "What the trust policy of the role asks for."),
            "endpoint": _told(_text(ENDPOINT), "URL in place of AWS's own."),
            "start": _told(TEXT, "TRIM_HORIZON, LATEST or a time; else CDC_START_AT."),
            "adapter": _told(_words(ADAPTERS), "Format of its records; else each record tells."),
            "enabled": _told({"type": "boolean"}, "false: nothing is read from it."),
            "before_image": _told(TEXT | {"not": {"enum": sorted(PARTS)}}, "FieldName of DMS's BeforeImageSettings."),
            "before_prefix": _told(_text(AFFIX), "Of DMS's columns with the values before; BI_ by default."),
            "before_suffix": _told(_text(AFFIX), "The same behind the name."),
            "absent_columns": _told(_words(get_args(AbsentColumns)), "For tables that do not say it themselves."),
            "lob_max_size": _told({"type": "integer", "minimum": 0, "maximum": MAX_LOB_KIB}, "LobMaxSize of DMS, KiB."),
        },
        required=["name", "stream"],
    )
    of_dms = ("before_image", "before_prefix", "before_suffix", "lob_max_size")
    dms_alone = {"properties": {"adapter": {"const": "dms"}}}
    source["dependencies"] = {"external_id": ["role"], **dict.fromkeys(of_dms, dms_alone)}
    return {
        "$schema": DRAFT,
        "title": "sources.yaml of cdc-worker",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "sources"],
        "properties": {
            "version": {"enum": [1, "1"]},
            "sources": _many({"$ref": "#/definitions/source"}, least=1),
        },
        "definitions": {"source": source},
    }


def _table() -> Schema:
    names = [spec.name for spec in TELEPHONY]
    table = _object(
        {
            "table": _told(TEXT, "Its name in the source."),
            "name": _told(NAME, "Unique, entityType of its events; else that of the table."),
            "schema": _told(TEXT, "Else the first one it is seen with."),
            "adapter": _told(_words(ADAPTERS), "Only records of this format."),
            "extends": _told(TEXT, "A built-in table to begin with, or none; else the one of this name."),
            "entity": _told(NAME, "Prefix of its event types: order gives order.created."),
            "key": _told(_many(TEXT, least=1), "Columns of the primary key."),
            "columns": _told(_each(_words(ColumnType)), "Types of columns. What nothing names is an unknown column."),
            "required": _told(_many(TEXT), "Columns a new row must have, not null."),
            "operations": _told(_many(_words(WORDS), least=1), "What is published; else all three."),
            "event_types": _told(
                {"type": "object", "propertyNames": {"enum": list(WORDS)}, "additionalProperties": TEXT},
                "In place of <entity>.created, .updated and .deleted.",
            ),
            "owner": _told({"anyOf": [NONE, {"$ref": "#/definitions/owner"}]},
                           "Whose the row is: per id the first case that matches."),
            "provides": _told({"anyOf": [NONE, _many({"$ref": "#/definitions/provides"})]},
                              "Lookups that this table feeds."),
            "redact": _told(_each({"$ref": "#/definitions/redaction"}), "What becomes of values before they leave."),
            "transform": _told(_each(_words(Transformation)), "Changes of form."),
            "unknown_columns": _told(_words(get_args(UnknownColumns)), "Columns nothing here names; else mask."),
            "include_fields": _told(_many(TEXT), "Columns that events hold; else all (*)."),
            "on_missing_owner": _told(
                {"anyOf": [_words(["publish", "dead"]),
                           {"type": "string", "pattern": "^wait:[0-9]{1,6}(ms|s|m)(,\\s*(publish|dead))?$"}]},
                "publish, dead, wait:30s or wait:30s,dead; at most 300 s.",
            ),
            "publish_snapshots": _told({"type": "boolean"}, "Whether rows of a full load become events."),
            "memory": _told(_words(["none", "owners"]), "none for rows that are never changed."),
            "duplicates": _told(_words(["drop", "pass"]), "A change that the source sends again."),
            "absent_columns": _told(_words(get_args(AbsentColumns)), "A column missing in one image of an update."),
            "images": _told(_many(_words(["before", "after"])), "Whole rows beside the changes."),
            "where": _told(TEXT, "JMESPath over {operation, before, after, keys, changed, snapshot, schema, table}."),
            "detail_type_style": _told(_words(DETAIL_TYPE_STYLES), "table-change: CDC.TableChange with both rows."),
            "bus": _told(TEXT, "Name or ARN of the bus that its events go to; else EVENT_BUS_NAME."),
            "examples": _told({"anyOf": [NONE, _many({"$ref": "#/definitions/example"})]},
                              "What goes in and what comes out; cdc check runs them."),
        },
        required=["table"],
    )  # fmt: skip
    table["anyOf"] = [
        {"required": ["entity", "key"]},
        {"properties": {"table": {"enum": names}}, "required": ["table"]},
        {"properties": {"name": {"enum": names}}, "required": ["name"]},
        {"properties": {"extends": {"enum": names}}, "required": ["extends"]},
    ]
    return table


def _redaction() -> Schema:
    rule = _object(
        {
            "action": _words(RedactionAction),
            "style": _told(_words(get_args(MaskStyle)), "What the value is, for PARTIAL_MASK, HASH and TOKENIZE."),
            "visibleChars": _told({"type": "integer", "minimum": 0, "maximum": 100}, "Of a PARTIAL_MASK."),
            "maskChar": {"type": ["string", "number"], "minLength": 1, "maxLength": 1},
            "replacement": _told(TEXT, "Of a FULL_MASK."),
            "link_group": _told(TEXT, "Columns of one group hash alike, in any table."),
            "exact": _told({"type": "boolean"}, "Only equal values hash alike; always so for keys and owners."),
            "unless": _told(
                {"type": "object", "minProperties": 1, "additionalProperties": _many(TEXT, least=1)},
                "Columns and the values of rows that need no redaction.",
            ),
            "patterns": _told(
                _many({"anyOf": [_words(BUILT_IN), {"type": "object", "additionalProperties": TEXT}]}, least=1),
                "Only what these find in a text: built-in ones, and own expressions as {name: expression}.",
            ),
        },
        required=["action"],
    )
    return {"anyOf": [_words(RedactionAction), rule]}


def _owner_case() -> Schema:
    when = _told(_each(TEXT), "Columns and the values they must have.")
    take = _words(["org", "user"])
    return {
        "anyOf": [
            _object({"column": TEXT, "when": when, "take": take}, required=["column"]),
            _object({"lookup": TEXT, "by": TEXT, "take": take, "when": when}, required=["lookup", "by"]),
        ]
    }


def _provides() -> Schema:
    query = _told(TEXT, "Instead of the one made from the columns: SELECT key, org, user … WHERE key = ANY($1).")
    return _object({"lookup": TEXT, "key": TEXT, "org": TEXT, "user": TEXT, "query": query}, required=["lookup", "key"])


def _example() -> Schema:
    codes = "|".join(Failure)
    marks = (["metadata"], ["eventSource"], ["op", "source"], ["payload"], ["__op"], ["__deleted"])
    record = {"type": "object", "anyOf": [{"required": mark} for mark in marks]}
    endings = [
        _object({"dropped": {"type": "string", "pattern": "^[a-z_]+$"}}, required=["dropped"]),
        _object({"dead": _words(Failure)}, required=["dead"]),
        {"type": "string", "pattern": f"^(dropped:\\s*[a-z_]+|dead:\\s*({codes}))$"},
    ]
    return _object(
        {
            "name": TEXT,
            "in": _told(
                _many({"anyOf": [{"$ref": "#/definitions/shortForm"}, record]}, least=1),
                "A change record, or several: the last one counts.",
            ),
            "out": _told(
                {"anyOf": [_object(dict.fromkeys(EVENT_FIELDS, True)), *endings]},
                "Fields of the event, `dropped: REASON` or `dead: CODE`.",
            ),
        },
        required=["in", "out"],
    )


def _short_form() -> Schema:
    row = {"type": ["object", "null"]}
    form = _object(
        {"operation": _words(OPERATIONS), "before": row, "after": row, "table": TEXT, "schema": TEXT, "at": TEXT}
    )
    form["anyOf"] = [{"required": [image], "properties": {image: {"type": "object"}}} for image in ("before", "after")]
    return form


def _object(properties: Schema, *, required: list[str] | None = None) -> Schema:
    found: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return found | ({"required": required} if required else {})


def _told(schema: Schema, text: str) -> Schema:
    return {"description": text, **schema}


def _many(item: Schema, *, least: int = 0) -> Schema:
    """A list; a single item counts as a list of one."""
    listed: Schema = {"type": "array", "items": item} | ({"minItems": least} if least else {})
    return {"anyOf": [item, listed]}


def _each(value: Schema) -> Schema:
    """Columns with a value each; `none` takes back what a built-in table says."""
    return {"type": "object", "additionalProperties": {"anyOf": [NONE, value]}}


def _words(words: Any) -> Schema:
    return {"enum": [str(word) for word in words]}


def _text(pattern: re.Pattern[str]) -> Schema:
    return {"type": ["string", "number"], "pattern": f"^({pattern.pattern})$"}
