"""The views of the page: a module each, whose `ROUTES` hold its API. `/api/…` answers for the whole cluster, by asking
`/internal/…` of every worker, which answers for its process."""
