"""./deploy.sh and ./cleanup.sh on a cluster."""

from __future__ import annotations

from collections.abc import Callable

from cluster import Image, Namespace, report, run
from conftest import Deployed


def revisions(namespace: Namespace) -> str:
    return namespace.helm("list", "--output", "json").succeeded()


def test_from_nothing_to_an_order(deployed: Deployed) -> None:
    for line in (
        "✓ database-migration: orderfood is at version 6 create_coupons, 6 applied",
        " loaded: ",
        "✓ an order was placed through the API",
        "✓ order-food passes its test",
        "kubectl --context",
    ):
        assert line in deployed.output, deployed.output
    assert deployed.namespace.value("SELECT count(*) FROM orders") == "1"


def test_replicas_that_start_together_do_each_piece_of_work_once(deployed: Deployed) -> None:
    pods = [pod["metadata"]["name"] for pod in deployed.namespace.pods()]
    logs = "".join(
        deployed.namespace.kubectl("logs", pod, "--container", container).succeeded()
        for pod in pods
        for container in ("database-migration", "database-load")
    )
    assert len(pods) == 2
    for line in ("✓ 1 create_products applied", "✓ products loaded: 10 inserted", "✓ coupons loaded: 8 inserted"):
        assert logs.count(line) == 1, logs


def test_the_load_of_each_pod_leaves_its_report(deployed: Deployed) -> None:
    for pod in deployed.namespace.pods():
        statuses = {status["name"]: status for status in pod["status"]["initContainerStatuses"]}
        assert report(statuses["database-load"])


def test_an_order_with_a_coupon_is_placed_if_the_coupon_is_valid(deployed: Deployed) -> None:
    status, order = deployed.namespace.order(couponCode="HAPPYHRS")
    assert status == 200, order
    stored = deployed.namespace.value(f"SELECT coupon_code FROM orders WHERE id = '{order['id']}'")
    assert stored == "HAPPYHRS"

    status, answer = deployed.namespace.order(couponCode="SUPER100")
    assert status == 422, answer
    assert answer["message"] == 'couponCode "SUPER100" is not a valid coupon'


def test_a_second_run_changes_nothing_and_says_so(deployed: Deployed) -> None:
    before = deployed.namespace.uids(), revisions(deployed.namespace)
    output = deployed.again().succeeded()
    for release in ("postgres", "database-load", "order-food"):
        assert f"✓ {release} is unchanged" in output, output
    assert before == (deployed.namespace.uids(), revisions(deployed.namespace))


def test_a_failure_ends_with_what_one_needs_to_see(
    new_namespace: Callable[..., Namespace], image: Image, deployed: Deployed
) -> None:
    namespace = new_namespace("failure", image)
    options = [*deployed.options]
    options[options.index("--namespace") + 1] = namespace.name
    ended = run(
        "./deploy.sh",
        *options,
        "--timeout", "45s",
        "--set", "order-food:database.host=nowhere",
        "--set", "order-food:timeouts.databaseWaitSeconds=3",
    )  # fmt: skip
    output = ended.failed()
    assert ended.code == 1, output
    for part in (
        "✗ database-migration: ",
        "✗ database-migration ended with exit code 5: the server was not reached in time",
        "Back-off",
        "postgres-pvc",
    ):
        assert part in output, output
    last = output.strip().splitlines()[-1]
    assert last.startswith("✗") and "order-food" in last, last
    namespace.kubectl("delete", "namespace", namespace.name, "--wait=false").succeeded()


def test_cleanup_keeps_the_data_and_purges_it_when_told(new_namespace: Callable[..., Namespace], image: Image) -> None:
    namespace = new_namespace("cleanup", image)
    options = ("--context", namespace.context, "--namespace", namespace.name)
    run("./cleanup.sh", *options).succeeded()

    namespace.install("postgres", "auth.generate=true").succeeded()
    namespace.install("order-food").succeeded()
    namespace.psql("INSERT INTO orders (id) VALUES ('kept')").succeeded()

    output = run("./cleanup.sh", *options).succeeded()
    assert "postgres-pvc" in output, output
    kept = namespace.kubectl("get", "pvc,secret,pod", "--output", "name").succeeded()
    assert "persistentvolumeclaim/postgres-pvc" in kept and "secret/postgres" in kept, kept

    namespace.install("postgres", "auth.generate=true").succeeded()
    namespace.install("order-food").succeeded()
    assert namespace.value("SELECT id FROM orders") == "kept"

    assert "--yes" in run("./cleanup.sh", *options, "--purge-data").failed()
    run("./cleanup.sh", *options, "--purge-data", "--yes").succeeded()
    rest = namespace.kubectl("get", "pvc,secret,deployment,cronjob", "--output", "name").succeeded()
    assert rest == "", rest
    namespace.kubectl("delete", "namespace", namespace.name, "--wait=false").succeeded()
