"""Deliberately broken builds. Each patch names the promise it breaks and the one test that has to notice."""
