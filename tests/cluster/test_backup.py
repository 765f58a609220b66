"""A backup, and what it is for."""

from __future__ import annotations

import re

import yaml
from cluster import PROJECT, Namespace, run

RUNBOOK = PROJECT / "docs/runbooks/postgres-restore.md"


def test_a_dropped_database_comes_back_as_the_runbook_says(namespace: Namespace) -> None:
    namespace.install("postgres", "backup.enabled=true").succeeded()
    namespace.install("order-food", "replicaCount=1").succeeded()
    namespace.psql("INSERT INTO orders (id) VALUES ('precious')").succeeded()
    namespace.kubectl("create", "job", "backup-now", "--from=cronjob/postgres-backup").succeeded()
    namespace.kubectl("wait", "--for=condition=Complete", "job/backup-now", "--timeout=90s").succeeded()
    log = namespace.kubectl("logs", "job/backup-now").succeeded()
    dump = re.search(r"✓ orderfood dumped to (\S+\.dump)", log)
    assert dump, log

    text = RUNBOOK.read_text()
    manifest = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert manifest
    namespace.apply(yaml.safe_load(manifest[1]))
    namespace.kubectl("wait", "--for=condition=Ready", "pod/postgres-backups", "--timeout=60s").succeeded()
    namespace.kubectl("scale", "deployment/order-food", "--replicas=0").succeeded()
    commands = re.search(r"^DUMP=.*?(kubectl.*?)```", text, re.DOTALL | re.MULTILINE)
    assert commands
    restore = commands[1].replace("kubectl", f"kubectl --context {namespace.context} --namespace {namespace.name}")
    run("bash", "-euo", "pipefail", "-c", f"DUMP={dump[1]}\n{restore}").succeeded()

    namespace.kubectl("scale", "deployment/order-food", "--replicas=1").succeeded()
    namespace.kubectl("rollout", "status", "deployment/order-food", "--timeout=120s").succeeded()
    assert namespace.value("SELECT id FROM orders") == "precious"
    assert namespace.value("SELECT count(*) FROM products") == "10"
    granted = "SELECT has_table_privilege('orderfood_api', 'orders', 'INSERT')"
    assert namespace.value(granted) == "t"
