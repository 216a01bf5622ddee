"""The tables of the traffic: those of the built-in catalogue that there are invented rows for."""

from models.catalogue import TELEPHONY
from sandbox.generator import call_center_rows, identity_rows, telephony_rows

_KNOWN = {spec.name for spec in TELEPHONY}
TABLES = {
    table.name: table
    for table in (*identity_rows.TABLES, *telephony_rows.TABLES, *call_center_rows.TABLES)
    if table.name in _KNOWN
}
"""By name."""
