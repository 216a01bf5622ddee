"""What one stage of this process does, as plain data."""

import time
from typing import Any

from workers.engine.stages import Stage


def stage_state(stage: Stage) -> dict[str, Any]:
    """What one stage of this process does: counts, slots, gaps. No keys, no values."""
    app = stage.app
    if app is None:
        return {"ready": False, "restarts": stage.restarts}
    consumer = app._consumer
    return {
        "ready": app.ready,
        "restarts": stage.restarts,
        "group": app.conf.id,
        "slots": sorted(app.slots.owned),
        "incomplete": app.slots.incomplete,
        "paused": {
            index: slot.why or slot.refused for index, slot in app.slots.owned.items() if slot.broken or slot.refused
        },
        "gaps": {str(tp): text for tp, text in consumer.open_gaps.items()} if consumer is not None else {},
        "stuck_transactions": {
            str(tp): round(seconds) for tp, seconds in consumer.stable_offsets.stuck(time.monotonic()).items()
        }
        if consumer is not None
        else {},
        "held": app.brake.told,
        "blocked_by": {**app.blockers, **app.outages},
        **{name: report() for name, report in app.reports.items()},
        "tables": {name: len(table.data) for name, table in app.tables.items()},
        "stats": app.slots.stats.as_dict(),
    }
