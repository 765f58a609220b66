"""What the tests of the cluster are given: a cluster, images, namespaces."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cluster import PATIENCE, PROJECT, Ended, Image, Namespace, run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--context", required=True, help="the kubectl context to test on")
    parser.addoption("--image-loader", default="", help="command that brings an image, named last, to the nodes")
    parser.addoption("--image", default="order-food", help="repository of the image")
    parser.addoption("--postgres-image", default="postgres:16-alpine", help="image of PostgreSQL")
    parser.addoption("--collector-image", default="", help="image of an OpenTelemetry collector with a file exporter")
    parser.addoption(
        "--kill-container", default="", help="command that kills a container on its node, the id named last"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that failed shows what is in its namespace, which is about to go."""
    report = yield
    if report.when == "call" and report.failed:
        for name, value in item.funcargs.items():
            if isinstance(value, Namespace):
                report.sections.append((f"{name}: {value.name}", value.describe()))
    return report


@pytest.fixture(scope="session")
def context(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--context")


@pytest.fixture(scope="session")
def postgres_image(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--postgres-image")


@pytest.fixture(scope="session")
def collector_image(request: pytest.FixtureRequest) -> str:
    image = request.config.getoption("--collector-image")
    return image or pytest.skip("left out: it needs --collector-image")


@pytest.fixture(scope="session")
def kill_container(request: pytest.FixtureRequest) -> Callable[[str], None]:
    command = request.config.getoption("--kill-container").split()
    if not command:
        pytest.skip("left out: it needs --kill-container")
    return lambda identifier: run(*command, identifier).succeeded() and None


@dataclass(frozen=True)
class Deployed:
    """What ./deploy.sh has brought up from nothing, and what it said."""

    namespace: Namespace
    options: tuple[str, ...]
    output: str

    def again(self, *arguments: str, timeout: float = PATIENCE) -> Ended:
        return run("./deploy.sh", *self.options, *arguments, timeout=timeout)


@pytest.fixture(scope="session")
def deployed(new_namespace: Callable[..., Namespace], request: pytest.FixtureRequest) -> Deployed:
    """The whole system, in a namespace without enforced Pod Security, as the first user of a cluster has it."""
    option = request.config.getoption
    image = Image(option("--image"), "")
    namespace = new_namespace("seed", image, restricted=False)
    options = ("--context", namespace.context, "--namespace", namespace.name, "--image", image.repository)
    if option("--image-loader"):
        options += ("--image-loader", option("--image-loader"))
    # The image may have to be built from nothing.
    output = run("./deploy.sh", *options, timeout=1800).succeeded()
    namespace.image = replace(image, tag=deployed_tag(namespace))
    return Deployed(namespace, options, output)


def deployed_tag(namespace: Namespace) -> str:
    containers = namespace.get("deployment", "order-food")["spec"]["template"]["spec"]["containers"]
    return containers[0]["image"].rpartition(":")[2]


@pytest.fixture(scope="session")
def image(deployed: Deployed) -> Image:
    """This project's image, brought to the nodes by deploy.sh."""
    return deployed.namespace.image


@pytest.fixture(scope="session")
def derived_image(image: Image, request: pytest.FixtureRequest) -> Iterator[Callable[[str, dict[str, str]], Image]]:
    """Makes a newer version of the image, with migrations of its own after those that it has."""
    made: list[Image] = []

    def derive(tag: str, migrations: dict[str, str]) -> Image:
        derived = Image(image.repository, f"{image.tag}-{tag}")
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder) / "migrations"
            shutil.copytree(PROJECT / "database-migration/migrations", directory)
            for name, text in migrations.items():
                (directory / name).write_text(text)
            (Path(folder) / "Dockerfile").write_text(
                f"FROM {image}\nCOPY migrations /migrations\nENV MIGRATIONS_DIR=/migrations\n"
            )
            run("docker", "build", "--quiet", "--tag", str(derived), folder).succeeded()
        made.append(derived)
        profile = request.config.getoption("--context")
        load = request.config.getoption("--image-loader") or f"minikube --profile {profile} image load"
        run(*load.split(), str(derived)).succeeded()
        return derived

    yield derive
    if made:
        run("docker", "image", "rm", *map(str, made))


@pytest.fixture(scope="session")
def new_namespace(context: str) -> Iterator[Callable[..., Namespace]]:
    """Makes namespaces that are gone when the tests end."""
    made: list[Namespace] = []

    def make(name: str, image: Image, restricted: bool = True) -> Namespace:
        namespace = Namespace(context, f"order-food-{name}-{uuid.uuid4().hex[:6]}", image)
        namespace.kubectl("create", "namespace", namespace.name).succeeded()
        made.append(namespace)
        if restricted:
            label = "pod-security.kubernetes.io/enforce=restricted"
            namespace.kubectl("label", "namespace", namespace.name, label).succeeded()
        return namespace

    yield make
    for namespace in made:
        namespace.kubectl("delete", "namespace", namespace.name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def namespace(new_namespace: Callable[..., Namespace], image: Image) -> Iterator[Namespace]:
    """A namespace of the test's own, which admits only restricted pods."""
    made = new_namespace("test", image)
    yield made
    # At once, so that a small node has room for the next test's pods.
    made.kubectl("delete", "namespace", made.name, "--wait=false")


@pytest.fixture(scope="session")
def system(new_namespace: Callable[..., Namespace], image: Image) -> Namespace:
    """The whole system with one API pod, for tests that leave it as they have found it."""
    namespace = new_namespace("system", image)
    namespace.install_all("replicaCount=1")
    return namespace
