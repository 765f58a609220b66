"""What breaks in the middle, and what the next start makes of it."""

from __future__ import annotations

from collections.abc import Callable

from cluster import Image, Namespace, until

SLOW = """-- +++++ UP
CREATE TABLE slow ();
SELECT pg_sleep(6);
"""


def upgrade_until_it_sleeps(system: Namespace, image: Image) -> dict:
    """Starts an upgrade with a slow migration, and returns the pod in the middle of it."""
    old = frozenset(pod["metadata"]["uid"] for pod in system.pods())
    system.image = image
    system.install("order-food", "replicaCount=1", wait=False).succeeded()
    pod = system.until_init_container("database-migration", "running", old)
    until("the migration sleeps", lambda: sleeping(system) == "1")
    return pod


def sleeping(system: Namespace) -> str:
    return system.value("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep'")


def finished_once(system: Namespace, version: int) -> None:
    system.kubectl("rollout", "status", "deployment/order-food", "--timeout=120s").succeeded()
    query = f"SELECT count(*) FROM refinery_schema_history WHERE version = {version}"
    assert system.value(query) == "1"


def test_the_migrating_container_is_killed_on_its_node(
    system: Namespace, derived_image: Callable[..., Image], kill_container: Callable[[str], None]
) -> None:
    pod = upgrade_until_it_sleeps(system, derived_image("killed", {"004_slow.sql": SLOW}))
    status = system.get("pod", pod["metadata"]["name"])["status"]["initContainerStatuses"][0]
    kill_container(status["containerID"].rpartition("/")[2])
    finished_once(system, 4)
    status = system.get("pod", pod["metadata"]["name"])["status"]["initContainerStatuses"][0]
    assert status["restartCount"] == 1, status


def test_postgres_is_deleted_in_the_middle_of_a_migration(
    system: Namespace, derived_image: Callable[..., Image]
) -> None:
    migrations = {"004_slow.sql": SLOW, "005_slow.sql": SLOW.replace("slow", "slower")}
    upgrade_until_it_sleeps(system, derived_image("deleted", migrations))
    system.kubectl("delete", "pod", "--selector", "app.kubernetes.io/name=postgres").succeeded()
    system.kubectl("rollout", "status", "deployment/postgres", "--timeout=120s").succeeded()
    finished_once(system, 5)


def test_postgres_is_deleted_in_the_middle_of_a_load(system: Namespace) -> None:
    system.psql("UPDATE products SET price = price + 1").succeeded()
    old = "SELECT count(*) FROM products WHERE price = 13.99 AND id = '1'"
    holder = "BEGIN; LOCK TABLE products IN SHARE MODE; SELECT pg_sleep(60)"
    system.kubectl(
        "exec", "deployment/postgres", "--container", "postgres", "--",
        "bash", "-c", f"psql -U postgres -d orderfood -c '{holder}' >/dev/null 2>&1 &",
    ).succeeded()  # fmt: skip
    system.kubectl("create", "job", "interrupted", "--from=cronjob/database-load").succeeded()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'orderfood_loader' AND wait_event_type = 'Lock'"
    until("the load waits", lambda: system.value(waiting) == "1")
    assert system.value(old) == "1"
    system.kubectl("delete", "pod", "--selector", "app.kubernetes.io/name=postgres").succeeded()
    system.kubectl("wait", "--for=condition=Complete", "job/interrupted", "--timeout=150s").succeeded()
    assert system.value("SELECT price FROM products WHERE id = '1'") == "12.99"
    assert system.value("SELECT count(*) FROM products") == "10"
