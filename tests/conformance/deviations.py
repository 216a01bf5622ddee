"""Where other emulators do not do what the contract tests ask for, test by test, with the reason.

A name without parameters stands for all of them. A deviation that is no longer there fails the run.
"""

from collections.abc import Mapping

STAND_IN: Mapping[str, str] = {}
MOTO: Mapping[str, str] = {}
KINESIS_LOCAL: Mapping[str, str] = {}

DEVIATIONS: Mapping[str, Mapping[str, str]] = {
    "stand-in": STAND_IN,
    "moto": MOTO,
    "kinesis-local": KINESIS_LOCAL,
}
