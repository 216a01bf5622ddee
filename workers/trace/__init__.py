"""The way of one change through the pipeline: `cdc trace` and the view Trace."""
