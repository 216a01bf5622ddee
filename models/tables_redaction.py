"""Redaction rules of `tables.yaml`: one per column, the name of an action or a mapping with its options."""

from typing import Any, get_args

import yaml

from models.free_text import BUILT_IN, BadExpressionError, RegexRedaction
from models.tables import MaskStyle, Redaction, RedactionAction
from models.yaml_nodes import Reader

FIELDS = ("action", "style", "visibleChars", "maskChar", "replacement", "link_group", "exact", "unless", "patterns")


def read_redaction(reader: Reader, node: yaml.Node, what: str) -> Redaction | None:
    """The rule of one column; None if it has no usable action. Mistakes are noted with the reader."""
    if isinstance(node, yaml.ScalarNode):
        action = reader.choice(node, what, RedactionAction)
        return None if action is None else Redaction(action)
    given = reader.fields(node, what, FIELDS)
    if given is None:
        return None
    if "action" not in given:
        reader.problems.at(node, f"{what} needs an action")
    action = reader.choice(given.get("action"), f"{what}.action", RedactionAction)
    mask = reader.text(given.get("maskChar"), f"{what}.maskChar")
    if mask is not None and len(mask) != 1:
        reader.problems.at(given["maskChar"], f"{what}.maskChar must be one character")
    options: dict[str, Any] = {
        "style": reader.word(given.get("style"), f"{what}.style", get_args(MaskStyle)),
        "visible_chars": reader.number(given.get("visibleChars"), f"{what}.visibleChars", 100),
        "mask_char": mask,
        "replacement": reader.text(given.get("replacement"), f"{what}.replacement"),
        "link_group": reader.text(given.get("link_group"), f"{what}.link_group"),
        "exact": reader.flag(given.get("exact"), f"{what}.exact"),
        "unless": _unless(reader, given.get("unless"), f"{what}.unless"),
        "patterns": _patterns(reader, given.get("patterns"), f"{what}.patterns"),
    }
    if action is None:
        return None
    if "exact" in given and not action.keyed:
        reader.problems.at(given["exact"], f"{what}.exact is for HASH and TOKENIZE")
    return Redaction(action, **{name: value for name, value in options.items() if value is not None})


def _unless(reader: Reader, node: yaml.Node | None, what: str) -> dict[str, tuple[str, ...]] | None:
    def values(item: yaml.Node, where: str) -> tuple[str, ...]:
        found = [reader.value(value, where) for value in reader.items(item, where)]
        return tuple(value for value in found if value is not None)

    conditions = reader.each(node, what, values)
    if conditions is None:
        return None
    if node is not None and not (conditions and all(conditions.values())):  # one left out would spare more rows
        reader.problems.at(node, f"{what} needs columns and the values that need no redaction")
    return {name: found for name, found in conditions.items() if found}


def _patterns(reader: Reader, node: yaml.Node | None, what: str) -> tuple[RegexRedaction, ...] | None:
    """Names of built-in finders, and own expressions: `[email, {ticket: "TCK-[0-9]{6}"}]`."""
    if node is None:
        return None
    found: list[RegexRedaction] = []
    for item in reader.items(node, what):
        if isinstance(item, yaml.MappingNode):
            own = reader.each(item, what, lambda node, where: _own(reader, node, where)) or {}
            found += [pattern for pattern in own.values() if pattern is not None]
            if None in own.values():
                reader.problems.at(item, f"{what}: an own pattern is a name and its expression")
        elif (word := reader.word(item, what, BUILT_IN)) is not None:
            found.append(RegexRedaction(word))
    if isinstance(node, yaml.SequenceNode) and not node.value:
        reader.problems.at(node, f"{what} is empty")
    return tuple(found)


def _own(reader: Reader, node: yaml.Node, what: str) -> RegexRedaction | None:
    text = reader.text(node, what)
    try:
        return None if text is None else RegexRedaction(what.rpartition(".")[2], text)
    except BadExpressionError as error:
        reader.problems.at(node, f"{what}: {error}")
        return None
