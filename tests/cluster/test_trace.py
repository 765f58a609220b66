"""The start of a pod as one trace."""

from __future__ import annotations

import re

from cluster import PROJECT, Namespace, pod, until

CONFIGURATION = """
receivers: {otlp: {protocols: {grpc: {endpoint: 0.0.0.0:4317}}}}
exporters: {debug: {verbosity: detailed}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
"""


def install_collector(namespace: Namespace, image: str) -> None:
    namespace.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "collector"}, "data": {"c.yaml": CONFIGURATION}}
    )
    manifest = pod("collector", image, [], args=["--config=/etc/collector/c.yaml"])
    container = manifest["spec"]["containers"][0]
    del container["command"]
    container["securityContext"] = container["securityContext"] | {"runAsUser": 65532}
    container["volumeMounts"] = [{"name": "configuration", "mountPath": "/etc/collector"}]
    manifest["spec"]["volumes"] = [{"name": "configuration", "configMap": {"name": "collector"}}]
    namespace.apply(manifest)
    namespace.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "collector"},
            "spec": {"selector": {"app.kubernetes.io/name": "collector"}, "ports": [{"port": 4317}]},
        }
    )
    namespace.kubectl("wait", "--for=condition=Ready", "pod/collector", "--timeout=60s").succeeded()


def spans(log: str) -> list[tuple[str, str, str]]:
    """Trace id, service and name of each span, as the collector's debug exporter writes them."""
    found = []
    service = trace = ""
    for line in log.splitlines():
        if match := re.search(r"-> service\.name: Str\((.*)\)", line):
            service = match[1]
        elif match := re.search(r"Trace ID +: ([0-9a-f]{32})", line):
            trace = match[1]
        elif match := re.search(r"^ +Name +: (.+)$", line):
            found.append((trace, service, match[1]))
    return found


def until_one_trace(namespace: Namespace, identifier: str) -> None:
    def has_all_services() -> bool:
        found = spans(namespace.kubectl("logs", "collector").succeeded())
        services = {service for trace, service, _ in found if trace == identifier}
        return services >= {"database-migration", "database-load", "order-food"}

    until(f"the three programs in the trace {identifier}", has_all_services, timeout=30)


def test_migration_load_and_api_of_a_pod_are_one_trace(namespace: Namespace, collector_image: str) -> None:
    install_collector(namespace, collector_image)
    namespace.install("postgres").succeeded()
    namespace.install("order-food", "telemetry.endpoint=http://collector:4317").succeeded()
    for started in namespace.pods():
        until_one_trace(namespace, started["metadata"]["uid"].replace("-", ""))
    log = namespace.kubectl("logs", "collector").succeeded()
    for attribute in ("k8s.pod.name", "k8s.pod.uid", "k8s.namespace.name", "k8s.deployment.name", "k8s.node.name"):
        assert f"-> {attribute}: Str(" in log, attribute
    version = re.search(r'^version = "(.*)"$', (PROJECT / "Cargo.toml").read_text(), re.MULTILINE)
    assert version and f"-> service.version: Str({version[1]})" in log
    trace = namespace.value("SELECT trace_id FROM refinery_schema_history WHERE version = 1")
    assert trace in {started["metadata"]["uid"].replace("-", "") for started in namespace.pods()}
