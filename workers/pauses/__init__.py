"""What operators pause: the topic `cdc.pauses`, how workers follow it, and how commands and pages change it."""
