"""Alarms of CloudWatch: what the health-check Lambda made `EventBridgeHC` of. Source: CloudWatch API reference,
DescribeAlarms."""

from collections.abc import Iterable, Mapping
from typing import Any

from models.bus_health import EventBridgeHC
from workers.aws.client import Session
from workers.aws.errors import AwsError
from workers.health.verdicts import State, Verdict, of_error, ok

WORDS = {"OK": EventBridgeHC.OK, "ALARM": EventBridgeHC.IN_ALARM, "INSUFFICIENT_DATA": EventBridgeHC.UNKNOWN}


async def check_alarms(session: Session, names: tuple[str, ...]) -> list[Verdict]:
    """One verdict for each name."""
    try:
        answer = await session.cold(
            "cloudwatch", "describe_alarms", AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
    except AwsError as error:
        return [of_error("alarms", ", ".join(names), error, "cloudwatch:DescribeAlarms")]
    return judge_alarms(names, [*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())])


def judge_alarms(names: Iterable[str], found: Iterable[Mapping[str, Any]]) -> list[Verdict]:
    """`found`: as DescribeAlarms describes them. An alarm that rings is a degraded state, not a failed one: it tells of
    what an operator chose to hear of, and the bus itself is asked, too."""
    states = {alarm["AlarmName"]: str(alarm.get("StateValue")) for alarm in found}
    return [_judge(name, states.get(name)) for name in names]


def _judge(name: str, state: str | None) -> Verdict:
    match WORDS.get(state or ""):
        case EventBridgeHC.OK:
            return ok("alarms", name, "OK", EventBridgeHC.OK)
        case EventBridgeHC.IN_ALARM:
            action = f"aws cloudwatch describe-alarm-history --alarm-name {name}"
            return Verdict("alarms", name, State.DEGRADED, "in alarm", action, word=EventBridgeHC.IN_ALARM)
        case _ if state is None:
            action = "mend CDC_HEALTH_ALARMS, or create the alarm in this region"
            return Verdict("alarms", name, State.UNKNOWN, "there is no such alarm", action, word=EventBridgeHC.UNKNOWN)
        case _:
            action = "does anything send its metric?"
            return Verdict("alarms", name, State.UNKNOWN, "not enough data", action, word=EventBridgeHC.UNKNOWN)
