"""Rules of this project over all rendered objects; each function is one rule, and yields what breaks it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .charts import Content, Mapping, values_by_chart
from .rendering import NAMESPACE, Document, Rendered
from .report import Outcome, Problem

Breach = tuple[Document, str]
Rule = Callable[[Rendered], Iterator[Breach]]

NAME, INSTANCE = "app.kubernetes.io/name", "app.kubernetes.io/instance"
SELECTOR = {NAME, INSTANCE}
# A pod's labels leave out what changes with each version of a chart: that alone is no reason to restart it.
POD_LABELS = SELECTOR | {"app.kubernetes.io/part-of"}
LABELS = POD_LABELS | {"app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"}
RESOURCES = {"cpu", "memory", "ephemeral-storage"}
KEEP = "helm.sh/resource-policy"

# Which container the pods of a name hold; people select logs by these names.
CONTAINERS_BY_NAME = {
    "order-food": "order-food",
    "order-food-test": "order-food-test",
    "database-load": "database-load",
    "database-load-test": "database-load",
    "postgres": "postgres",
    "postgres-test": "database-migration",
    "postgres-backup": "backup",
}
PROGRAMS = {f"/usr/local/bin/{program}" for program in ("database-migration", "database-load", "order-food")}


@dataclass(frozen=True)
class Pod:
    """A pod, or the template of one."""

    document: Document
    labels: dict[str, str]
    spec: Mapping

    @property
    def containers(self) -> list[Mapping]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def pods(rendered: Rendered) -> Iterator[Pod]:
    for document in rendered.documents:
        content = document.content
        if document.kind == "CronJob":
            content = content["spec"]["jobTemplate"]
        if document.kind in ("Deployment", "StatefulSet", "Job", "CronJob"):
            content = content["spec"]["template"]
        if "containers" in content.get("spec", {}):
            yield Pod(document, content["metadata"].get("labels", {}), content["spec"])


def containers(rendered: Rendered) -> Iterator[tuple[Pod, Mapping]]:
    for pod in pods(rendered):
        for container in pod.containers:
            yield pod, container


def of_kind(rendered: Rendered, *kinds: str) -> Iterator[Document]:
    return (document for document in rendered.documents if document.kind in kinds)


def variables_are_named_once(rendered: Rendered) -> Iterator[Breach]:
    for pod, container in containers(rendered):
        names = [variable["name"] for variable in container.get("env", [])]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield pod.document, f"{container['name']} has the variable {name} twice"


def references_follow_their_variables(rendered: Rendered) -> Iterator[Breach]:
    for pod, container in containers(rendered):
        known: set[str] = set()
        for variable in container.get("env", []):
            for name in set(re.findall(r"(?<!\$)\$\((\w+)\)", variable.get("value", ""))) - known:
                yield pod.document, f"{container['name']}: {variable['name']} refers to {name}, which is not before it"
            known.add(variable["name"])


def selectors_are_frozen(rendered: Rendered) -> Iterator[Breach]:
    for document in of_kind(rendered, "Deployment", "StatefulSet", "PodDisruptionBudget", "Service"):
        selector = document.content["spec"]["selector"]
        if document.kind != "Service":
            selector = selector["matchLabels"]
        if set(selector) != SELECTOR:
            yield document, f"it selects by {', '.join(sorted(selector))}, not by exactly {', '.join(sorted(SELECTOR))}"


def selectors_find_pods(rendered: Rendered) -> Iterator[Breach]:
    labels = [pod.labels for pod in pods(rendered)]
    for document in of_kind(rendered, "Service", "PodDisruptionBudget"):
        selector = document.content["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        if not any(wanted.items() <= found.items() for found in labels):
            yield document, f"its selector {wanted} finds no pod"


def labels_are_there(rendered: Rendered) -> Iterator[Breach]:
    objects = [(each, "it", each.content["metadata"].get("labels", {}), LABELS) for each in rendered.documents]
    objects += [(pod.document, "its pod", pod.labels, POD_LABELS) for pod in pods(rendered)]
    for document, what, labels, wanted in objects:
        if missing := wanted - set(labels):
            yield document, f"{what} lacks the labels {', '.join(sorted(missing))}"
        if labels.get("app.kubernetes.io/part-of") != "order-food":
            yield document, f"{what} is not part-of order-food"
        if labels.get(INSTANCE) != rendered.case.chart:
            yield document, f"{what} has not the release's name as its instance"


def objects_name_the_namespace(rendered: Rendered) -> Iterator[Breach]:
    for document in rendered.documents:
        if document.content["metadata"].get("namespace") != NAMESPACE:
            yield document, "it has not the release's namespace"


def pod_names_are_those_that_people_select(rendered: Rendered) -> Iterator[Breach]:
    for pod in pods(rendered):
        name = pod.labels.get(NAME, "")
        names = [container["name"] for container in pod.spec["containers"]]
        if CONTAINERS_BY_NAME.get(name) not in names:
            yield pod.document, f"a pod with {NAME}={name} has the containers {', '.join(names)}"


def resources_are_bounded(rendered: Rendered) -> Iterator[Breach]:
    for pod, container in containers(rendered):
        for bound in ("requests", "limits"):
            if missing := RESOURCES - set(container.get("resources", {}).get(bound, {})):
                yield pod.document, f"{container['name']} has no {bound} of {', '.join(sorted(missing))}"


def containers_are_restricted(rendered: Rendered) -> Iterator[Breach]:
    wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    for pod, container in containers(rendered):
        context = container.get("securityContext", {})
        for key, value in wanted.items():
            if context.get(key) != value:
                yield pod.document, f"{container['name']} has {key} {context.get(key)}, not {value}"


def pods_are_restricted(rendered: Rendered) -> Iterator[Breach]:
    for pod in pods(rendered):
        context = pod.spec.get("securityContext", {})
        ours = any(container.get("command", [""])[0] in PROGRAMS for container in pod.containers)
        wanted = {
            "runAsNonRoot": True,
            "runAsUser": 65532 if ours else 70,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        for key, value in wanted.items():
            if context.get(key) != value:
                yield pod.document, f"its pod has {key} {context.get(key)}, not {value}"


def pods_know_nothing_of_the_cluster(rendered: Rendered) -> Iterator[Breach]:
    accounts = {document.content["metadata"]["name"]: document for document in of_kind(rendered, "ServiceAccount")}
    for pod in pods(rendered):
        for key in ("enableServiceLinks", "automountServiceAccountToken"):
            if pod.spec.get(key) is not False:
                yield pod.document, f"its pod has not {key}: false"
        account = accounts.get(pod.spec.get("serviceAccountName", ""))
        if not account:
            yield pod.document, "its pod has no service account of its own"
        elif account.content.get("automountServiceAccountToken") is not False:
            yield account, "it has not automountServiceAccountToken: false"


def images_follow_the_values(rendered: Rendered) -> Iterator[Breach]:
    """A digest wins over a tag, and no image is without either."""
    allowed = []
    for values in values_by_chart(rendered.case).values():
        for part in (values, values.get("tests", {}), values.get("metrics", {})):
            if image := part.get("image"):
                version = f"@{image['digest']}" if image["digest"] else ":" + (image["tag"] or "[^:@/]+")
                allowed.append(image["repository"] + version)
    for pod, container in containers(rendered):
        if not any(re.fullmatch(image, container["image"]) for image in allowed):
            yield pod.document, f"{container['name']} has the image {container['image']}, which no value names"


def lines_end_with_text(rendered: Rendered) -> Iterator[Breach]:
    """A file in a ConfigMap is indented with its empty lines, so those are left out."""
    for document in rendered.documents:
        if document.kind == "ConfigMap":
            continue
        lines = document.text.split("\n")
        if empty := [number for number, line in enumerate(lines, start=1) if line != line.rstrip()]:
            yield document, f"white space ends its lines {', '.join(map(str, empty))}"


def names_fit(rendered: Rendered) -> Iterator[Breach]:
    """The name of a CronJob leaves room for what its Jobs add; that of a Pod is its host's name, too."""
    for document in rendered.documents:
        length, most = len(document.content["metadata"]["name"]), {"CronJob": 52, "Pod": 63}.get(document.kind)
        if most and length > most:
            yield document, f"its name has {length} characters; {most} are allowed"


def strings(content: Content) -> Iterator[str]:
    if isinstance(content, dict):
        content = [*content.keys(), *content.values()]
    if isinstance(content, list):
        for part in content:
            yield from strings(part)
    else:
        yield str(content)


def passwords_are_in_secrets_alone(rendered: Rendered) -> Iterator[Breach]:
    """Passwords of the cases are long enough to be found wherever they are, also in base64."""
    encoded = {value for document in of_kind(rendered, "Secret") for value in document.content.get("data", {}).values()}
    secrets = {secret for secret in (base64.b64decode(value).decode() for value in encoded) if len(secret) >= 12}
    for document in rendered.documents:
        texts = list(strings(document.content)) if document.kind != "Secret" else []
        for secret in secrets:
            forms = (secret, base64.b64encode(secret.encode()).decode())
            if any(form in text for form in forms for text in texts):
                yield document, f"it shows the secret {secret[:3]}..."


def passwords_are_no_literal_variables(rendered: Rendered) -> Iterator[Breach]:
    """Except where the user's own list of variables says so."""
    given = str(rendered.case.values)
    for pod, container in containers(rendered):
        for variable in container.get("env", []):
            name = variable["name"]
            secret = re.search(r"PASS|SECRET|TOKEN|API_KEY|DATABASE_URL", name) and not name.endswith("_FILE")
            if secret and variable.get("value") and not variable["value"].startswith("/") and f"'{name}'" not in given:
                yield pod.document, f"{container['name']} has a literal {name}"


def secrets_and_claims_are_kept_alike(rendered: Rendered) -> Iterator[Breach]:
    """A new password does not open old data."""
    for claim in of_kind(rendered, "PersistentVolumeClaim"):
        for secret in of_kind(rendered, "Secret"):
            same_chart = secret.content["metadata"]["labels"][NAME] == claim.content["metadata"]["labels"][NAME]
            if same_chart and secret.annotations.get(KEEP) != claim.annotations.get(KEEP):
                yield (
                    claim,
                    f"{KEEP} is {claim.annotations.get(KEEP)}, that of {secret.name} is {secret.annotations.get(KEEP)}",
                )


def hooks_are_tests_by_our_programs(rendered: Rendered) -> Iterator[Breach]:
    """Other hooks run before what they need is there, and Helm forgets what they make."""
    for document in rendered.documents:
        hook = document.annotations.get("helm.sh/hook", "test")
        if hook != "test":
            yield document, f"it is a hook of {hook}"
    for pod in pods(rendered):
        if "helm.sh/hook" not in pod.document.annotations:
            continue
        for container in pod.containers:
            if container.get("command", [""])[0] not in PROGRAMS:
                yield pod.document, f"{container['name']} runs {container.get('command')}, not one of our programs"


def servers_are_probed_where_clients_come(rendered: Rendered) -> Iterator[Breach]:
    """The socket also answers while a first start is under way, so it may be asked only after the startup probe."""
    for pod, container in containers(rendered):
        if container["name"] != "postgres":
            continue
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            command = " ".join(container.get(probe, {}).get("exec", {}).get("command", []))
            by_socket = probe == "readinessProbe" and command.startswith("psql ") and "--host" not in command
            if "--host=127.0.0.1" not in command and not by_socket:
                yield pod.document, f"its {probe} does not go through 127.0.0.1: {command or 'no command'}"


def claims_have_one_user(rendered: Rendered) -> Iterator[Breach]:
    for pod in pods(rendered):
        claims = [volume for volume in pod.spec.get("volumes", []) if "persistentVolumeClaim" in volume]
        spec = pod.document.content["spec"]
        alone = spec.get("replicas") == 1 and spec.get("strategy") == {"type": "Recreate"}
        if pod.document.kind == "Deployment" and claims and not alone:
            yield pod.document, "two of its pods could use one volume at a time"


def grace_periods_fit(rendered: Rendered) -> Iterator[Breach]:
    """After the native sleep of preStop the API drains, and the rest is for the end itself."""
    for pod, container in containers(rendered):
        if sleep := container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds"):
            drain = [each["value"] for each in container["env"] if each["name"] == "DRAIN_TIMEOUT"]
            least = sleep + int(drain[0].removesuffix("s")) + 5
            if pod.spec["terminationGracePeriodSeconds"] < least:
                yield pod.document, f"its pods are killed before the {least} s that they may take to stop"


# Each rule with how to mend what breaks it.
RULES: dict[Rule, str] = {
    variables_are_named_once: "merge the variables by name: server-side apply refuses a name twice",
    references_follow_their_variables: "put it after the variables that it refers to",
    selectors_are_frozen: "select by name and instance alone, for ever: a Deployment's selector is immutable",
    selectors_find_pods: "select by labels that the pods have",
    labels_are_there: "include the chart's labels",
    objects_name_the_namespace: "write namespace: {{ .Release.Namespace }}",
    pod_names_are_those_that_people_select: "give the pod the name of the contract",
    resources_are_bounded: "give it a value with requests and limits",
    containers_are_restricted: "include the chart's security context",
    pods_are_restricted: "include the chart's security context of pods",
    pods_know_nothing_of_the_cluster: "set it in the pod's spec; each chart has a service account",
    images_follow_the_values: "include the chart's image template",
    lines_end_with_text: "trim white space in the template: {{- ... }}, or trim what it includes",
    names_fit: "cut the name before something is added to it",
    passwords_are_in_secrets_alone: "mount the Secret as a file",
    passwords_are_no_literal_variables: "mount the Secret as a file, and give the program its path",
    secrets_and_claims_are_kept_alike: "let one value decide about both",
    hooks_are_tests_by_our_programs: "run one of our programs, as a test",
    servers_are_probed_where_clients_come: "give the probe --host=127.0.0.1",
    claims_have_one_user: "write replicas: 1 and strategy: {type: Recreate}",
    grace_periods_fit: "make the grace period the sum of preStop's sleep, DRAIN_TIMEOUT and 5",
}


def check(renders: list[Rendered]) -> Outcome:
    problems = [
        Problem(rendered.where(document), what, mend)
        for rendered in renders
        for rule, mend in RULES.items()
        for document, what in rule(rendered)
    ]
    objects = sum(len(rendered.documents) for rendered in renders)
    return Outcome(f"{len(RULES)} rules, {objects} objects", problems)
