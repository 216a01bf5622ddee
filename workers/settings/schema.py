"""JSON Schema of the settings, by their names in the environment, and the same in words."""

from collections.abc import Mapping
from typing import Any

from workers.settings.effective import setting_text
from workers.settings.origins import OURS, names_of
from workers.settings.worker import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def settings_schema() -> Schema:
    """One property per name; any other name that begins with CDC_ is an error, as it is for the worker."""
    whole = Settings.model_json_schema(by_alias=True)
    properties: dict[str, Schema] = {}
    for info in Settings.model_fields.values():
        name, *others = names_of(info)
        found = _plain(whole["properties"][name], whole.get("$defs", {}), setting_text(info.default))
        properties[name] = found
        properties |= {other: found | {"description": f"also read as {name}, which counts first"} for other in others}
    ours = [name for name in properties if name.startswith(OURS)]
    return {
        "$schema": DIALECT,
        "title": "Settings of cdc-worker",
        "description": "Names and values as in the environment or .env; a worker reads them as text.",
        "type": "object",
        "properties": properties,
        "propertyNames": {"anyOf": [{"enum": ours}, {"not": {"pattern": f"^{OURS}"}}]},
    }


def _plain(found: Schema, definitions: Mapping[str, Schema], default: str) -> Schema:
    """Without references and nulls; what pydantic takes for an object is written as text, such as 3/200ms/2s."""
    (chosen, *_) = [one for one in found.get("anyOf", [found]) if one.get("type") != "null"]
    if "$ref" in chosen:
        chosen = definitions[chosen["$ref"].rpartition("/")[2]]
    kept = {name: value for name, value in chosen.items() if name not in ("title", "default", "properties", "required")}
    if kept.get("type") == "object":
        kept = {"type": "string", "default": default}
    elif found.get("default") is not None:
        kept["default"] = found["default"]
    return kept | {"description": found.get("description", "")}


def type_in_words(found: Schema) -> str:
    """`integer, 1 to 1000`, `LOCAL, DEV, QA or PRD`, `secret`, `path`, `text`."""
    if found.get("writeOnly"):
        return "secret"
    if "enum" in found:
        *most, last = map(str, found["enum"])
        return f"{', '.join(most)} or {last}" if most else last
    match found.get("type"):
        case "boolean":
            return "true or false"
        case "integer" | "number" as kind:
            return ", ".join(filter(None, (kind, _bounds(found))))
        case _:
            return "path" if found.get("format") == "path" else "text"


def _bounds(found: Schema) -> str:
    least, most = found.get("minimum"), found.get("maximum")
    above = found.get("exclusiveMinimum")
    if least is not None and most is not None:
        return f"{least:g} to {most:g}" if isinstance(least, float) else f"{least} to {most}"
    told = [f"above {above:g}"] if above is not None else []
    told += [f"{least} or more"] if least is not None else []
    return " and ".join([*told, *([f"at most {most:g}"] if most is not None else [])])
