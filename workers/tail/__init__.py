"""The topics of the pipeline looked at from the outside, masked: `cdc tail` and the view Peek."""
