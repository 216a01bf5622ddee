"""The dead letters as an operator works with them: read, redriven, dropped, exported."""
