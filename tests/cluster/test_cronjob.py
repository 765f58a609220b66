"""The CronJob of charts/database-load."""

from __future__ import annotations

from cluster import Namespace, change_by_hand, report, start_load_that_waits, until

BAD = "id\\,name\\,price\\,category\n1\\,Chicken Waffle\\,12\\,Waffle\n2\\,Belgian Waffle\\,cheap\\,Waffle\n"


def test_it_is_run_now(system: Namespace) -> None:
    change_by_hand(system, "price = 1 WHERE id IN ('1', '2')")
    system.kubectl("create", "job", "database-load-now", "--from=cronjob/database-load").succeeded()
    system.kubectl("wait", "--for=condition=Complete", "job/database-load-now", "--timeout=60s").succeeded()
    log = system.kubectl("logs", "job/database-load-now").succeeded()
    assert "✓ database-load: coupons unchanged; products 2 updated, 8 unchanged; " in log, log
    assert system.value("SELECT price FROM products WHERE id = '1'") == "12.99"
    pods = system.get("pods", "--selector", "batch.kubernetes.io/job-name=database-load-now")["items"]
    assert report(pods[0]["status"]["containerStatuses"][0])
    system.helm("test", "database-load").succeeded()


def test_it_leaves_the_work_to_a_load_that_goes_on(system: Namespace) -> None:
    change_by_hand(system, "price = price + 1")
    start_load_that_waits(system, "first")
    system.kubectl("create", "job", "second", "--from=cronjob/database-load").succeeded()
    system.kubectl("wait", "--for=condition=Complete", "job/second", "--timeout=20s").succeeded()
    assert "active" in system.get("job", "first")["status"]
    system.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'").succeeded()
    system.kubectl("wait", "--for=condition=Complete", "job/first", "--timeout=60s").succeeded()
    assert system.value("SELECT price FROM products WHERE id = '1'") == "12.99"


def test_bad_data_ends_the_job_at_once(system: Namespace) -> None:
    system.install("database-load", f"data.files.products\\.csv={BAD}").succeeded()
    system.kubectl("create", "job", "bad", "--from=cronjob/database-load").succeeded()
    system.kubectl("wait", "--for=condition=Failed", "job/bad", "--timeout=60s").succeeded()
    conditions = system.get("job", "bad")["status"]["conditions"]
    assert any(condition.get("reason") == "PodFailurePolicy" for condition in conditions), conditions
    pods = system.get("pods", "--selector", "batch.kubernetes.io/job-name=bad")["items"]
    assert len(pods) == 1
    log = system.kubectl("logs", "job/bad").succeeded()
    assert 'products.csv:3: column price: "cheap" is not a decimal number' in log, log
    assert system.value("SELECT count(*) FROM products") == "10"


def scheduled_and_succeeded(job: dict) -> bool:
    # A run that was started by hand has no such time.
    annotations = job["metadata"].get("annotations", {})
    return "batch.kubernetes.io/cronjob-scheduled-timestamp" in annotations and "succeeded" in job["status"]


def test_a_schedule_starts_it(system: Namespace) -> None:
    system.install("database-load", "schedule=* * * * *").succeeded()
    until("a run of the schedule", lambda: any(map(scheduled_and_succeeded, system.get("jobs")["items"])))
    # So that no run comes in between what other tests do.
    system.install("database-load").succeeded()
