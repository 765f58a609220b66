"""What breaks in the middle, and what the next start makes of it."""

from __future__ import annotations

from collections.abc import Callable

from cluster import Image, Namespace, change_by_hand, start_load_that_waits, until

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
    pod = upgrade_until_it_sleeps(system, derived_image("killed", {"007_slow.sql": SLOW}))
    status = system.get("pod", pod["metadata"]["name"])["status"]["initContainerStatuses"][0]
    kill_container(status["containerID"].rpartition("/")[2])
    finished_once(system, 7)
    status = system.get("pod", pod["metadata"]["name"])["status"]["initContainerStatuses"][0]
    assert status["restartCount"] == 1, status


def test_postgres_is_deleted_in_the_middle_of_a_migration(
    system: Namespace, derived_image: Callable[..., Image]
) -> None:
    migrations = {"007_slow.sql": SLOW, "008_slow.sql": SLOW.replace("slow", "slower")}
    upgrade_until_it_sleeps(system, derived_image("deleted", migrations))
    system.kubectl("delete", "pod", "--selector", "app.kubernetes.io/name=postgres").succeeded()
    system.kubectl("rollout", "status", "deployment/postgres", "--timeout=120s").succeeded()
    finished_once(system, 8)


def test_postgres_is_deleted_in_the_middle_of_a_load(system: Namespace) -> None:
    change_by_hand(system, "price = price + 1")
    old = "SELECT count(*) FROM products WHERE price = 13.99 AND id = '1'"
    start_load_that_waits(system, "interrupted")
    assert system.value(old) == "1"
    system.kubectl("delete", "pod", "--selector", "app.kubernetes.io/name=postgres").succeeded()
    system.kubectl("wait", "--for=condition=Complete", "job/interrupted", "--timeout=150s").succeeded()
    assert system.value("SELECT price FROM products WHERE id = '1'") == "12.99"
    assert system.value("SELECT count(*) FROM products") == "10"
