"""The page in a real browser, before a real worker: `make test-browser`."""
