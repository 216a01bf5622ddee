"""How the records of one source are to be read, where they do not say it themselves: settings of its DMS task."""

from dataclasses import dataclass
from typing import Final

from models.tables import AbsentColumns


@dataclass(frozen=True, slots=True)
class Reading:
    """What `sources.yaml` says about the records of a source."""

    before_image: str | None = None
    """`FieldName` of the task's BeforeImageSettings. None: `before-image`, or the one object that looks like a row."""
    before_prefix: str = "BI_"
    """Of the columns that the rule add-before-image-columns adds to a row."""
    before_suffix: str = ""
    """The same behind their names. Neither: no column is a before image."""
    absent_columns: AbsentColumns | None = None
    """For tables that do not say it."""
    lob_max_size: int | None = None
    """`LobMaxSize` of the task's limited LOB mode, KiB. None: no value counts as cut off."""

    def column_before(self, name: str) -> str | None:
        """The column whose former value stands under this name; None if it is a column like any other."""
        end = len(name) - len(self.before_suffix)
        if len(self.before_prefix) < end and name.startswith(self.before_prefix) and name.endswith(self.before_suffix):
            return name[len(self.before_prefix) : end] if end - len(self.before_prefix) < len(name) else None
        return None


PLAIN: Final = Reading()
