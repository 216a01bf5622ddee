"""`owner:` of a table entry: who a change belongs to."""

import yaml

from models.tables import FromColumn, FromLookup, OwnerCase, OwnerRule
from models.yaml_nodes import Reader, is_none


class OwnerReader(Reader):
    """Reads owner rules."""

    def owner(self, node: yaml.Node) -> OwnerRule | None:
        """The rule, or None if it cannot be read."""
        given = self.fields(node, "owner", ["org", "user"])
        if given is None:
            return None
        return OwnerRule(org=self._cases(given.get("org"), "org"), user=self._cases(given.get("user"), "user"))

    def _cases(self, node: yaml.Node | None, seeks: str) -> tuple[OwnerCase, ...]:
        if node is None or is_none(node):
            return ()
        found = [self._case(item, seeks) for item in self.items(node, f"owner.{seeks}")]
        return tuple(case for case in found if case is not None)

    def _case(self, node: yaml.Node, seeks: str) -> OwnerCase | None:
        what = f"owner.{seeks}"
        given = self.fields(node, what, ["column", "lookup", "by", "take", "when"])
        if given is None:
            return None
        conditions = self.each(given.get("when"), f"{what}.when", self.value) or {}
        when = {name: value for name, value in conditions.items() if value is not None}
        match sorted(given.keys() - {"when", "take"}):
            case ["column"]:
                column = self.text(given["column"], f"{what}.column")
                return None if column is None else FromColumn(column, when)
            case ["by", "lookup"]:
                lookup, by = self.text(given["lookup"], f"{what}.lookup"), self.text(given["by"], f"{what}.by")
                take = self.word(given.get("take"), f"{what}.take", ["org", "user"]) or seeks
                if lookup is None or by is None:
                    return None
                return FromLookup(lookup, by, "user" if take == "user" else "org", when)
            case _:
                self.problems.at(node, f"{what}: a case has either `column`, or `lookup` and `by`")
                return None
