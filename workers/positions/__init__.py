"""What `cdc checkpoint` shows and changes: the positions of the shards."""
