"""What stands in deploy/kubernetes and deploy/ecs is what the code says: settings, ports, probes, grace and rights."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore import xform_name
from botocore.session import Session

from tests.unit.test_health_deploy import Template, references
from workers.engine.stages import STOP_SECONDS
from workers.settings.worker import environment_names

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
DOCUMENTS: dict[str, dict[str, Any]] = {
    f"{path.parent.name}/{path.name}/{document['kind']}/{document.get('metadata', {}).get('name', '')}": document
    for path in sorted(KUBERNETES.glob("*/*.yaml"))
    if path.name not in ("tables.yaml", "kustomization.yaml")
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
}
DEPLOYMENT = DOCUMENTS["base/deployment.yaml/Deployment/cdc-worker"]["spec"]
POD = DEPLOYMENT["template"]["spec"]
JOB = DOCUMENTS["topics/job.yaml/Job/cdc-topics"]["spec"]["template"]["spec"]
(WORKER,) = POD["containers"]
CONTAINERS: list[dict[str, Any]] = [WORKER, *JOB["initContainers"], *JOB["containers"]]
ECS = yaml.load((ROOT / "deploy/ecs/template.yaml").read_text(encoding="utf-8"), Template)
TASK = ECS["Resources"]["Task"]["Properties"]
TOKENS, TASK_WORKER = TASK["ContainerDefinitions"]
IMAGE = (ROOT / "Dockerfile").read_text(encoding="utf-8")

NEEDED = {
    "kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:GetShardIterator", "kinesis:GetRecords",
    "events:PutEvents", "events:DescribeEventBus", "events:ListRules", "events:ListTargetsByRule",
}  # fmt: skip
"""What every worker calls."""
SETTING = {
    "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricData", "kinesis:PutRecord", "rds:DescribeDBClusters",
    "rds:DescribeDBInstances", "s3:PutObject", "s3:ListBucket", "s3:GetEncryptionConfiguration", "sns:Publish",
    "sns:GetTopicAttributes", "sqs:SendMessage", "sqs:GetQueueAttributes", "ssm:GetParameters", "sts:AssumeRole",
}  # fmt: skip
"""What it calls only if a setting wants it. The table of docs/deployment.md names them all."""
COMMAND = {
    "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sts:GetCallerIdentity", "dynamodb:Scan",
}  # fmt: skip
"""What commands alone call."""
OTHERWISE = {
    "s3:HeadBucket": "s3:ListBucket", "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage", "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}  # fmt: skip
"""Operations whose right has another name."""
WORDS = {"publish", "Publish", "Query", "query", "Scan", "scan"}
"""Operations that are words of ours, too."""


def settings_of(container: dict[str, Any]) -> set[str]:
    named = {one["name"] for one in container.get("env", ())}
    return named | ({*entries("settings.env")} if "envFrom" in container else set())


def entries(name: str) -> dict[str, str]:
    lines = (KUBERNETES / "settings" / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def named_of_task() -> set[str]:
    found: set[str] = set()
    for one in (*TASK_WORKER["Environment"], *TASK_WORKER["Secrets"]):
        found |= {name["Name"] for name in (one, *one.get("If", ())) if isinstance(name, dict) and "Name" in name}
    return found


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda container: container["name"])
def test_every_setting_of_a_pod_is_one_the_worker_knows(container: dict[str, Any]) -> None:
    assert settings_of(container) - {"POD_IP"} <= environment_names().keys()


def test_every_setting_of_a_task_is_one_the_worker_knows() -> None:
    assert named_of_task() - {"TMPDIR"} <= environment_names().keys()


def test_no_pod_is_told_of_services_in_names_that_look_like_settings() -> None:
    assert POD["enableServiceLinks"] is JOB["enableServiceLinks"] is False


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_a_probe_asks_a_path_that_the_health_port_answers(probe: str) -> None:
    served = set(re.findall(r'"(/\w+)": self\._', (ROOT / "workers/probes/service.py").read_text(encoding="utf-8")))
    assert WORKER[probe]["httpGet"]["path"] in served
    assert WORKER[probe]["httpGet"]["port"] == "health"
    assert (WORKER[probe]["httpGet"]["path"] == "/readyz") == (probe == "readinessProbe")


def test_what_ends_a_task_asks_whether_it_lives_and_not_whether_it_is_ready() -> None:
    port = next(one["Value"] for one in TASK_WORKER["Environment"] if one.get("Name") == "CDC_HEALTH_PORT")
    assert f"http://127.0.0.1:{port}/livez" in TASK_WORKER["HealthCheck"]["Command"][-1]


def test_ports_are_those_of_the_image() -> None:
    exposed = [int(port) for port in re.findall(r"^EXPOSE (.+)$", IMAGE, re.MULTILINE)[0].split()]
    assert [port["containerPort"] for port in WORKER["ports"]] == exposed
    assert [port["ContainerPort"] for port in TASK_WORKER["PortMappings"]] == exposed
    set_here = {one["name"]: one.get("value") for one in WORKER["env"]}
    assert [set_here["CDC_WEB_PORT"], set_here["CDC_HEALTH_PORT"]] == [str(port) for port in exposed]
    targets = {port["name"] for port in WORKER["ports"]}
    services = [document for name, document in DOCUMENTS.items() if "/Service/" in name]
    assert len(services) == 2
    assert {port["targetPort"] for service in services for port in service["spec"]["ports"]} == targets


def test_the_grace_is_longer_than_a_worker_takes_to_end() -> None:
    assert POD["terminationGracePeriodSeconds"] >= STOP_SECONDS + 5
    assert TASK_WORKER["StopTimeout"] >= STOP_SECONDS + 5
    assert "lifecycle" not in WORKER


def test_containers_may_do_no_more_than_they_need() -> None:
    user = int(re.findall(r"^USER (\d+):\1$", IMAGE, re.MULTILINE)[0])
    for pod in (POD, JOB):
        security = pod["securityContext"]
        assert (security["runAsUser"], security["fsGroup"], security["runAsNonRoot"]) == (user, user, True)
    for container in CONTAINERS:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
    for container in (TOKENS, TASK_WORKER):
        assert (container["ReadonlyRootFilesystem"], container["User"]) == (True, f"{user}:{user}")
        assert container["LinuxParameters"] == {"Capabilities": {"Drop": ["ALL"]}}


def test_files_of_settings_lie_on_volumes_that_are_mounted() -> None:
    volumes = {volume["name"] for volume in POD["volumes"]}
    assert {mount["name"] for mount in WORKER["volumeMounts"]} == volumes
    mounted = tuple(mount["mountPath"] for mount in WORKER["volumeMounts"])
    told = {one["name"]: one.get("value", "") for one in WORKER["env"]} | entries("settings.env")
    files = {name: value for name, value in told.items() if name.endswith("_FILE") or name == "CDC_TABLES"}
    assert len(files) == 5
    assert [name for name, value in files.items() if not value.startswith(mounted)] == []


def test_every_secret_file_is_made_by_the_commands_of_the_page() -> None:
    page = (KUBERNETES / "README.md").read_text(encoding="utf-8")
    told = {one["name"]: one.get("value", "") for one in WORKER["env"]} | entries("settings.env")
    secrets = {value.rpartition("/")[2] for value in told.values() if value.startswith("/run/cdc/secrets/")}
    assert secrets == set(re.findall(r"> secrets/([\w-]+)", page))


def test_keys_of_the_secret_of_a_task_are_those_of_the_page() -> None:
    asked = set(re.findall(r"\$\{SecretArn\}:(\w+)::", (ROOT / "deploy/ecs/template.yaml").read_text(encoding="utf-8")))
    page = (ROOT / "deploy/ecs/README.md").read_text(encoding="utf-8")
    assert asked == set(re.findall(r'"(\w+)":"', page))


def test_what_selects_workers_selects_the_pods_of_the_deployment() -> None:
    labels = DEPLOYMENT["template"]["metadata"]["labels"]
    selectors = [
        document["spec"]["selector"].get("matchLabels", document["spec"]["selector"])
        for document in DOCUMENTS.values()
        if document["kind"] in ("Service", "PodDisruptionBudget", "PodMonitor", "Deployment")
    ]
    assert selectors == [labels] * 5
    assert [one["labelSelector"]["matchLabels"] for one in POD["topologySpreadConstraints"]] == [labels, labels]


def test_files_that_kustomize_is_told_of_are_there() -> None:
    for path in KUBERNETES.glob("*/kustomization.yaml"):
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        named = [*told.get("resources", ()), *told.get("components", ())]
        for made in told.get("configMapGenerator", ()):
            named += [*made.get("envs", ()), *made.get("files", ())]
        commented = re.findall(r"^# - (\.\./\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert [name for name in (*named, *commented) if not (path.parent / name).exists()] == []


def test_what_a_task_refers_to_is_there_and_nothing_is_an_alias() -> None:
    text = (ROOT / "deploy/ecs/template.yaml").read_text(encoding="utf-8")
    assert references(ECS["Resources"]) <= {
        *ECS["Parameters"], *ECS["Resources"], "AWS::AccountId", "AWS::NoValue", "AWS::Region", "AWS::StackName",
    }  # fmt: skip
    aliases = [token for token in yaml.scan(text, Template) if isinstance(token, yaml.AliasToken | yaml.AnchorToken)]
    assert aliases == []  # CloudFormation refuses them


def strings(path: Path) -> Iterator[str]:
    """Those of the code, without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def called() -> set[str]:
    """Rights for every operation of AWS that stands in the code by boto3's name or by AWS's own."""
    found, session = set(), Session()
    texts = {text for path in (ROOT / "workers").rglob("*.py") for text in strings(path)} - WORDS
    for service in ("kinesis", "events", "cloudwatch", "rds", "s3", "sns", "sqs", "ssm", "sts", "dynamodb"):
        for operation in session.get_service_model(service).operation_names:
            if {operation, xform_name(operation)} & texts:
                right = f"{service}:{operation}"
                found.add(OTHERWISE.get(right, right))
    return found


def test_every_call_of_the_code_is_one_that_somebody_decided_about() -> None:
    spoken = {"sns:Publish", "dynamodb:Scan", "sts:AssumeRole"}
    assert called() | spoken == NEEDED | SETTING | COMMAND


def actions(statements: Any) -> set[str]:
    return set(re.findall(r"'((?:kinesis|events|kms|ssm|s3|sns|sqs|sts|rds|cloudwatch):\w+)'", str(statements)))


def test_rights_are_exactly_the_calls_of_a_worker() -> None:
    (policy, _kafka) = ECS["Resources"]["TaskRole"]["Properties"]["Policies"]
    assert actions(policy) - {"kms:Decrypt"} == NEEDED
    assert actions(json.loads((KUBERNETES / "policy.json").read_text(encoding="utf-8"))) == NEEDED


def test_the_page_on_deployment_has_the_same_rights_and_names_all_others() -> None:
    page = (ROOT / "docs/deployment.md").read_text(encoding="utf-8").partition("## IAM")[2].partition("\n## ")[0]
    (policy,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert json.loads(policy) == json.loads((KUBERNETES / "policy.json").read_text(encoding="utf-8"))
    assert {right for right in SETTING if f"`{right}`" not in page} == set()


def test_rights_in_kafka_are_those_of_the_page_on_msk() -> None:
    (_worker, kafka) = ECS["Resources"]["TaskRole"]["Properties"]["Policies"]
    page = (ROOT / "docs/msk.md").read_text(encoding="utf-8")
    (policy,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert set(re.findall(r"kafka-cluster:\w+", str(kafka))) == set(re.findall(r"kafka-cluster:\w+", policy))
