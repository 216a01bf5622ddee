"""cdc.events -> EventBridge: at least once, in order per entity."""
