"""Who gets in, and who is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cluster import PATIENCE, RESTRICTED, Namespace, pod, until


@pytest.mark.parametrize(
    ("role", "query"),
    [
        ("loader", "CREATE TABLE mine ()"),
        ("loader", "TRUNCATE products"),
        ("loader", "DELETE FROM refinery_schema_history"),
        ("api", "CREATE TABLE mine ()"),
        ("api", "UPDATE products SET price = 0"),
        ("api", "DELETE FROM orders"),
        ("api", "INSERT INTO refinery_schema_history (version) VALUES (99)"),
        ("api", "DELETE FROM refinery_schema_history_catalog"),
        ("loader", "INSERT INTO refinery_schema_history (version) VALUES (99)"),
        ("reader", "INSERT INTO orders (id) VALUES ('x')"),
        ("reader", "CREATE TEMPORARY TABLE mine ()"),
        ("owner", "CREATE ROLE mine"),
        ("owner", "COPY products TO PROGRAM 'cat'"),
    ],
)
def test_a_role_is_refused_what_is_not_its_own(system: Namespace, role: str, query: str) -> None:
    output = system.psql(query, f"orderfood_{role}", "postgres").failed()
    assert "ermission denied" in output, output


@pytest.mark.parametrize(
    ("role", "query"),
    [
        ("owner", "CREATE SCHEMA more; DROP SCHEMA more"),
        ("loader", "UPDATE products SET price = price WHERE id = '1'"),
        ("loader", "DELETE FROM load_run WHERE data_set = 'none'"),
        ("api", "INSERT INTO orders (id) VALUES ('by the api')"),
        ("api", "SELECT count(*) FROM load_run, coupons"),
        ("reader", "SELECT count(*) FROM orders"),
        ("reader", "SELECT count(*) FROM refinery_schema_history"),
    ],
)
def test_a_role_may_do_its_work(system: Namespace, role: str, query: str) -> None:
    system.psql(query, f"orderfood_{role}", "postgres").succeeded()


def test_after_a_restart_the_api_may_not_add_to_what_the_loader_writes(namespace: Namespace) -> None:
    namespace.install("postgres").succeeded()
    namespace.install("order-food", "replicaCount=1").succeeded()
    namespace.kubectl("rollout", "restart", "deployment/postgres").succeeded()
    namespace.kubectl("rollout", "status", "deployment/postgres", f"--timeout={PATIENCE}s").succeeded()
    allowed = """SELECT string_agg(role || ' ' || name, ', ' ORDER BY role, name)
                 FROM unnest(ARRAY['api', 'loader']) AS role,
                      unnest(ARRAY['coupons', 'load_reject', 'load_run', 'orders', 'products']) AS name
                 WHERE has_table_privilege('orderfood_' || role, name, 'INSERT')"""
    loader = ", ".join(f"loader {name}" for name in ("coupons", "load_reject", "load_run", "orders", "products"))
    assert namespace.value(allowed) == f"api orders, {loader}"
    status, answer = namespace.order()
    assert status == 200, answer


def reaches(namespace: Namespace, image: str, name: str, labels: dict[str, str], target: str) -> bool:
    """Whether a pod with these labels can open a connection."""
    # Policies reach a new pod a moment after it has started.
    command = ["bash", "-c", f"sleep 3; timeout 5 bash -c 'exec 3<>/dev/tcp/{target}'"]
    manifest = pod(name, image, command)
    manifest["metadata"]["labels"] = labels
    namespace.apply(manifest)
    phase = until(
        f"{name} ends",
        lambda: {"Succeeded": "yes", "Failed": "no"}.get(namespace.get("pod", name)["status"]["phase"]),
    )
    namespace.kubectl("delete", "pod", name, "--wait=false").succeeded()
    return phase == "yes"


def test_network_policies_hold(system: Namespace, new_namespace: Callable[..., Namespace], postgres_image: str) -> None:
    elsewhere = new_namespace("elsewhere", system.image)
    database = f"postgres.{system.name}.svc.cluster.local/5432"
    api = f"order-food.{system.name}.svc.cluster.local/8080"
    loader = {"app.kubernetes.io/name": "database-load", "app.kubernetes.io/instance": "database-load"}
    assert reaches(system, postgres_image, "neighbour", {"app": "neighbour"}, database)
    assert not reaches(elsewhere, postgres_image, "stranger", {"app": "stranger"}, database)
    assert reaches(elsewhere, postgres_image, "guest", {"app": "guest"}, api)
    assert reaches(system, postgres_image, "loader", loader, database)
    assert not reaches(system, postgres_image, "curious-loader", loader, api)


def wait_for_database(namespace: Namespace, name: str, variables: dict[str, str]) -> str:
    """Runs `database-migration wait` in a pod, and returns what it wrote."""
    manifest = pod(
        name,
        str(namespace.image),
        ["/usr/local/bin/database-migration", "wait"],
        env=[{"name": key, "value": value} for key, value in variables.items()],
        securityContext=RESTRICTED,
    )
    namespace.apply(manifest)
    until(f"{name} ends", lambda: namespace.get("pod", name)["status"]["phase"] in ("Succeeded", "Failed"))
    return namespace.kubectl("logs", name).succeeded()


def test_tls_is_required_when_asked_for(namespace: Namespace) -> None:
    namespace.install("postgres", "postgres.sslmode=require").succeeded()
    verified = ("database.sslmode=verify-full", "database.sslRootCertSecret.name=postgres-tls", "replicaCount=1")
    namespace.install("order-food", *verified).succeeded()
    query = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'orderfood_api'"
    assert namespace.value(query) == "t"

    plain = wait_for_database(namespace, "plain", {"DB_HOST": "postgres", "DB_SSLMODE": "disable"})
    assert "ended with exit code 2" in plain, plain
    encrypted = wait_for_database(namespace, "encrypted", {"DB_HOST": "postgres", "DB_SSLMODE": "require"})
    assert "lets postgres in" in encrypted, encrypted


def test_a_password_is_changed(namespace: Namespace) -> None:
    namespace.install("postgres", "auth.generate=true").succeeded()
    namespace.install("order-food", "replicaCount=1").succeeded()
    change = {"stringData": {"api-password": 'it\'s a "new" $one\\'}}
    namespace.kubectl("patch", "secret", "postgres", "--patch", json.dumps(change)).succeeded()
    namespace.kubectl("rollout", "restart", "deployment/postgres").succeeded()
    namespace.kubectl("rollout", "status", "deployment/postgres", f"--timeout={PATIENCE}s").succeeded()
    namespace.kubectl("rollout", "restart", "deployment/order-food").succeeded()
    namespace.kubectl("rollout", "status", "deployment/order-food", f"--timeout={PATIENCE}s").succeeded()
    assert "works" in namespace.helm("test", "order-food", "--logs").succeeded()
