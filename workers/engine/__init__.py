"""Exactly-once stages on Faust: the only room that knows its private parts."""
