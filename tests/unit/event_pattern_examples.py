"""Event patterns that AWS has published, with events they match and events they do not. Pages are named by their file
in the EventBridge user guide (docs.aws.amazon.com/eventbridge/latest/userguide)."""

from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]

CREATING = "eb-event-patterns.html"
OPERATORS = "eb-create-pattern-operators.html"
NULLS = "eb-event-patterns-null-values.html"
ARRAYS = "eb-event-patterns-arrays.html"

TERMINATED: Document = {
    "version": "0",
    "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "account": "111122223333",
    "time": "2017-12-22T18:43:48Z",
    "region": "us-west-1",
    "resources": ["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0"],
    "detail": {"instance-id": "i-1234567890abcdef0", "state": "terminated"},
}
LAUNCHED: Document = {
    "version": "0",
    "id": "3e3c153a-8339-4e30-8c35-687ebef853fe",
    "detail-type": "EC2 Instance Launch Successful",
    "source": "aws.autoscaling",
    "account": "123456789012",
    "time": "2015-11-11T21:31:47Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {"eventVersion": "", "responseElements": None},
}
ALERT: Document = {
    "version": "0",
    "id": "3e355723-fca9-4de3-9fd7-154c289d6b59",
    "detail-type": "Macie Alert",
    "source": "aws.macie",
    "account": "123456789012",
    "time": "2017-04-24T22:28:49Z",
    "region": "us-east-1",
    "resources": ["arn:aws:macie:us-east-1:123456789012:trigger/trigger_id"],
    "detail": {"tags": ["Custom_Alert", "Insider"], "risk-score": 80, "trigger": {"risk": 8}},
}
RUNNING: Document = {
    "detail-type": ["EC2 Instance State-change Notification"],
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-02ebd4584a2ebd341"],
    "detail": {"state": ["initializing", "running"]},
}
GROUPED: Document = {
    "resources": [
        "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:eb56d16b:autoScalingGroupName/ASGTerminate",
        "arn:aws:ec2:us-east-1:123456789012:instance/i-b188560f",
    ]
}


@dataclass(frozen=True, slots=True)
class Example:
    """A pattern of a page, and events with whether it matches them."""

    page: str
    pattern: Document
    matching: tuple[Document, ...]
    others: tuple[Document, ...] = ()


def detail(**fields: Any) -> Document:
    return {"detail": {name.replace("_", "-"): value for name, value in fields.items()}}


def of(name: str, rule: Any, matching: tuple[Any, ...], others: tuple[Any, ...]) -> Example:
    """An example of the operators' page about one field of detail."""
    events = [tuple({"detail": {name: value}} for value in values) for values in (matching, others)]
    return Example(OPERATORS, {"detail": {name: [rule]}}, *events)


PUBLISHED = (
    Example(
        CREATING,
        {"source": ["aws.ec2"], "detail-type": [TERMINATED["detail-type"]], "detail": {"state": ["terminated"]}},
        (TERMINATED,), (LAUNCHED, TERMINATED | detail(state="running")),
    ),
    Example(CREATING, {"source": ["aws.ec2", "aws.fargate"]}, (TERMINATED, {"source": "aws.fargate"}), (LAUNCHED, {})),
    Example(
        CREATING,
        {
            "source": ["aws.autoscaling"],
            "detail-type": ["EC2 Instance Launch Successful"],
            "detail": {"responseElements": [None]},
        },
        (LAUNCHED,), (TERMINATED, LAUNCHED | {"detail": {"responseElements": ""}}),
    ),
    Example(
        CREATING,
        {
            "source": ["aws.macie"],
            "detail-type": ["Macie Alert"],
            "detail": {"risk-score": [80], "trigger": {"risk": [8]}},
        },
        (ALERT,), (ALERT | {"detail": {"risk-score": 80, "trigger": {"risk": 7}}}, ALERT | detail(risk_score=80)),
    ),
    Example(NULLS, {"detail": {"eventVersion": [""]}}, (LAUNCHED,), ({"detail": {"eventVersion": None}}, TERMINATED)),
    Example(
        NULLS, {"detail": {"responseElements": [None]}},
        (LAUNCHED,), ({"detail": {"responseElements": ""}}, TERMINATED),
    ),
    Example(
        ARRAYS,
        {
            "resources": [
                f"arn:aws:ec2:us-east-1:{account}:instance/i-b188560f"
                for account in (123456789012, 111122223333, 444455556666)
            ]
        },
        (GROUPED,), (TERMINATED, LAUNCHED),
    ),
    Example(
        OPERATORS, {"time": [{"prefix": "2017-10-02"}]},
        ({"time": "2017-10-02T18:43:48Z"},), (TERMINATED, {"time": 2017}),
    ),
    of("service", {"prefix": {"equals-ignore-case": "EventB"}}, ("EventBridge", "eventb"), ("Bridge", 1)),
    of("FileName", {"suffix": ".png"}, ("a.png", ".png"), ("a.PNG", "a.pngx")),
    of("FileName", {"suffix": {"equals-ignore-case": ".png"}}, ("a.png", "a.PNG"), ("a.jpg", None)),
    of("state", {"anything-but": "initializing"}, ("running", 1, None, ""), ("initializing",)),
    of("x-limit", {"anything-but": 123}, (124, "123", 123.5), (123, 123.0)),
    of("state", {"anything-but": ["stopped", "overloaded"]}, ("running",), ("stopped", "overloaded")),
    of("x-limit", {"anything-but": [100, 200, 300]}, (150, "100"), (100, 300)),
    of("state", {"anything-but": {"equals-ignore-case": "initializing"}}, ("running", 7), ("INITIALIZING",)),
    of(
        "state", {"anything-but": {"equals-ignore-case": ["initializing", "stopped"]}},
        ("running",), ("Initializing", "STOPPED"),
    ),
    of("state", {"anything-but": {"prefix": "init"}}, ("running", "Init", 5), ("initializing", "init")),
    of("state", {"anything-but": {"prefix": ["init", "stop"]}}, ("running",), ("initializing", "stopped")),
    of("FileName", {"anything-but": {"suffix": ".txt"}}, ("a.rtf", ".txt.gz"), ("a.txt",)),
    of("FileName", {"anything-but": {"suffix": [".txt", ".rtf"]}}, ("a.png",), ("a.txt", "a.rtf")),
    of("FilePath", {"anything-but": {"wildcard": "*/lib/*"}}, ("/bin/ls", "lib"), ("/usr/lib/x", "/lib/")),
    of(
        "FilePath", {"anything-but": {"wildcard": ["*/lib/*", "*/bin/*"]}},
        ("/etc/hosts",), ("/usr/lib/x", "/usr/bin/x"),
    ),
    Example(
        OPERATORS,
        {
            "detail": {
                "c-count": [{"numeric": [">", 0, "<=", 5]}],
                "d-count": [{"numeric": ["<", 10]}],
                "x-limit": [{"numeric": ["=", 3.018e2]}],
            }
        },
        (detail(c_count=5, d_count=3, x_limit=301.8), detail(c_count=0.5, d_count=-1, x_limit=301.80)),
        (
            detail(c_count=0, d_count=3, x_limit=301.8), detail(c_count=6, d_count=3, x_limit=301.8),
            detail(c_count=5, d_count=10, x_limit=301.8), detail(c_count=5, d_count=3, x_limit=301.9),
            detail(c_count="5", d_count=3, x_limit=301.8), detail(c_count=5, d_count=3),
        ),
    ),
    of(
        "sourceIPAddress", {"cidr": "10.0.0.0/24"},
        ("10.0.0.0", "10.0.0.255"), ("10.0.1.0", "10.0.0.256", "::a00:0", 167772160, "ten"),
    ),
    Example(OPERATORS, {"detail": {"state": [{"exists": True}]}}, (TERMINATED, RUNNING), (LAUNCHED, {"detail": {}})),
    Example(
        OPERATORS, {"detail": {"c-count": [{"exists": False}]}},
        (RUNNING, RUNNING | detail(c_count={"c1": 100})), (detail(c_count=0), detail(c_count=None)),
    ),
    Example(
        OPERATORS, {"detail-type": [{"equals-ignore-case": "ec2 instance state-change notification"}]},
        (TERMINATED, RUNNING), (LAUNCHED, {}),
    ),
    of("EventBusArn", {"wildcard": "arn:aws:events:us-east-1:*:event-bus/*"},
       ("arn:aws:events:us-east-1:123456789012:event-bus/x",), ("arn:aws:events:us-west-1:1:event-bus/x", "arn")),
    of("FileName", {"wildcard": "dir/*.png"}, ("dir/a.png", "dir/sub/b.png", "dir/.png"), ("dir/a.jpg", "a/dir/a.png")),
    Example(
        OPERATORS,
        {
            "time": [{"prefix": "2017-10-02"}],
            "detail": {
                "state": [{"anything-but": "initializing"}],
                "c-count": [{"numeric": [">", 0, "<=", 5]}],
                "d-count": [{"numeric": ["<", 10]}],
                "x-limit": [{"anything-but": [100, 200, 300]}],
            },
        },
        ({"time": "2017-10-02T16:24:49Z"} | detail(state="running", c_count=5, d_count=3, x_limit=301.8),),
        ({"time": "2017-10-02T16:24:49Z"} | detail(state="running", c_count=5, d_count=3, x_limit=300), TERMINATED),
    ),
    Example(
        OPERATORS,
        {
            "detail": {
                "$or": [
                    {"c-count": [{"numeric": [">", 0, "<=", 5]}]},
                    {"d-count": [{"numeric": ["<", 10]}]},
                    {"x-limit": [{"numeric": ["=", 3.018e2]}]},
                ]
            }
        },
        (detail(c_count=5, d_count=50), detail(d_count=9), detail(x_limit=301.8)),
        (detail(c_count=6, d_count=10, x_limit=1), {"detail": {}}),
    ),
    Example(
        OPERATORS,
        {
            "source": ["aws.cloudwatch"],
            "$or": [{"metricName": ["CPUUtilization", "ReadLatency"]}, {"namespace": ["AWS/EC2", "AWS/ES"]}],
        },
        (
            {"source": "aws.cloudwatch", "metricName": "ReadLatency"},
            {"source": "aws.cloudwatch", "metricName": "x", "namespace": "AWS/EC2"},
        ),
        ({"source": "aws.cloudwatch", "metricName": "x"}, {"source": "aws.ec2", "namespace": "AWS/EC2"}),
    ),
)  # fmt: skip
