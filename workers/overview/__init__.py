"""The pipeline on one screen: what is wrong, since when, and what mends it."""
