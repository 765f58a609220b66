"""From one version to the next, and back, while clients ask all the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from cluster import Image, Namespace, clients, until

ADDED_COLUMN = """-- Migration: add_note
-- +++++ UP
ALTER TABLE orders ADD COLUMN note text;
-- +++++ DOWN
ALTER TABLE orders DROP COLUMN note;
"""
BROKEN = """-- Migration: add_customer
-- +++++ UP
CREATE TABLE customers (id bigint PRIMARY KEY);
ALTER TABLE orders ADD COLUMN customer_id bigint REFERENCES custommers;
"""
FIXED = BROKEN.replace("custommers", "customers")


@pytest.fixture(scope="module")
def system(new_namespace: Callable[..., Namespace], image: Image) -> Iterator[Namespace]:
    namespace = new_namespace("upgrade", image)
    namespace.install_all()
    yield namespace
    namespace.kubectl("delete", "namespace", namespace.name, "--wait=false")


def only_good_answers(answers: list[str]) -> bool:
    wrong = [answer for answer in answers if answer != "200"]
    assert not wrong, f"{len(wrong)} of {len(answers)} answers: {sorted(set(wrong))}"
    return len(answers) > 50


def history(namespace: Namespace) -> str:
    return namespace.value("SELECT string_agg(version::text, ' ' ORDER BY version) FROM refinery_schema_history")


def test_an_upgrade_with_a_migration_loses_no_request(
    system: Namespace, derived_image: Callable[..., Image], postgres_image: str
) -> None:
    with clients(system, postgres_image) as answers:
        until("answers before", lambda: only_good_answers(answers()))
        system.image = derived_image("2", {"007_add_note.sql": ADDED_COLUMN})
        before = len(answers())
        system.install("order-food").succeeded()
        until("answers after", lambda: len(answers()) > before + 100)
        assert only_good_answers(answers())
    assert history(system) == "1 2 3 4 5 6 7"


def test_a_failed_migration_leaves_the_old_pods_at_work(
    system: Namespace, derived_image: Callable[..., Image], postgres_image: str
) -> None:
    old_pods = set(system.ready_pods())
    serving = system.image
    with clients(system, postgres_image) as answers:
        system.image = derived_image("3", {"007_add_note.sql": ADDED_COLUMN, "008_add_customer.sql": BROKEN})
        system.install("order-food", wait=False).succeeded()
        known = frozenset(pod["metadata"]["uid"] for pod in system.pods() if pod["metadata"]["name"] in old_pods)
        failed = system.until_init_container("database-migration", "waiting", known)
        until(
            "the message",
            lambda: "ended with exit code 1" in system.logs(failed["metadata"]["name"], "database-migration"),
        )
        message = system.logs(failed["metadata"]["name"], "database-migration", "--tail=10")
        for part in (
            'relation "custommers" does not exist (SQLSTATE 42P01)',
            "ALTER TABLE orders ADD COLUMN customer_id bigint REFERENCES custommers;",
            "state: the database is at version 7 add_note",
        ):
            assert part in message, message
        assert old_pods <= set(system.ready_pods())
        until("answers", lambda: only_good_answers(answers()))
        assert history(system) == "1 2 3 4 5 6 7"

        system.image = derived_image("4", {"007_add_note.sql": ADDED_COLUMN, "008_add_customer.sql": FIXED})
        system.install("order-food").succeeded()
        assert only_good_answers(answers())
    assert history(system) == "1 2 3 4 5 6 7 8"
    system.image = replace(serving)


def test_an_older_image_starts_although_the_database_is_ahead(system: Namespace, postgres_image: str) -> None:
    with clients(system, postgres_image) as answers:
        until("answers before", lambda: only_good_answers(answers()))
        system.helm("rollback", "order-food", "1", "--wait", "--timeout", "120s").succeeded()
        assert only_good_answers(answers())
    pod = system.ready_pods()[0]
    assert "the database is ahead of this program by 2 migrations" in system.logs(pod, "database-migration")
    assert history(system) == "1 2 3 4 5 6 7 8"
