"""How pods start."""

from __future__ import annotations

import shutil

import pytest
from cluster import Namespace


def test_five_replicas_at_once_on_an_empty_database(namespace: Namespace) -> None:
    namespace.install("postgres").succeeded()
    namespace.install("order-food", "replicaCount=5").succeeded()
    verdicts = [namespace.logs(pod, "database-migration", "--tail=1") for pod in namespace.ready_pods()]
    assert len(verdicts) == 5, verdicts
    assert sum("6 applied" in verdict for verdict in verdicts) == 1, verdicts
    assert sum("nothing to do" in verdict for verdict in verdicts) == 4, verdicts
    assert (
        namespace.value("SELECT string_agg(version::text, ' ' ORDER BY version) FROM refinery_schema_history")
        == "1 2 3 4 5 6"
    )
    assert namespace.value("SELECT count(*) FROM products") == "10"
    assert namespace.value("SELECT count(*) FROM coupons") == "8"

    namespace.helm("test", "postgres", "--logs").succeeded()
    assert "works and offers 10 products" in namespace.helm("test", "order-food", "--logs").succeeded()


def test_an_upgrade_that_changes_nothing_restarts_nothing(namespace: Namespace) -> None:
    namespace.install("postgres", "auth.generate=true", "postgres.sslmode=require").succeeded()
    namespace.install("order-food", "database.sslmode=require").succeeded()
    before = namespace.uids()
    namespace.install("postgres", "auth.generate=true", "postgres.sslmode=require").succeeded()
    namespace.install("order-food", "database.sslmode=require").succeeded()
    assert before == namespace.uids()


def test_helm_4_goes_on_from_what_helm_3_has_installed(namespace: Namespace) -> None:
    if not shutil.which("helm3"):
        pytest.skip("left out: there is no helm3")
    namespace.helm_program = "helm3"
    namespace.install_all("replicaCount=1")
    assert "works" in namespace.helm("test", "order-food", "--logs").succeeded()
    before = namespace.uids()
    namespace.helm_program = "helm"
    namespace.install_all("replicaCount=1")
    assert before == namespace.uids()


def test_the_variables_of_the_first_description_win(namespace: Namespace) -> None:
    """Its `env` lists are given as they are printed there, with the superuser for everything."""
    namespace.install("postgres").succeeded()
    variables = {
        "DB_HOST": "postgres",
        "DB_PORT": "5432",
        "DB_NAME": "orderfood",
        "DB_USER": "postgres",
        "DB_PASSWORD": "postgres",
        "DB_SSLMODE": "disable",
    }
    values = [
        f"initContainers.{container}.env[{index}].{part}"
        for container in ("databaseMigration", "databaseLoad")
        for index, (name, value) in enumerate(variables.items())
        for part in (f"name={name}", f"value={value}")
    ]
    strings = [option for value in values for option in ("--set-string", value)]
    chart = "charts/order-food"
    image = [option for value in namespace.image.values() for option in ("--set", value)]
    namespace.helm("upgrade", "--install", "order-food", chart, *image, *strings, "--timeout", "60s").succeeded()
    pod = namespace.until_init_container("database-load", "terminated")["metadata"]["name"]
    assert "as postgres" in namespace.logs(pod, "database-migration")
    assert "as postgres" in namespace.logs(pod, "database-load")
