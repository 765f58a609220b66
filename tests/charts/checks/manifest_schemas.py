"""Every rendered object against the strict schemas of several Kubernetes versions."""

from __future__ import annotations

import functools
import json

import kubernetes_validate

from .rendering import Rendered
from .report import Outcome, Problem

# The oldest that the charts allow, that of the test cluster, and the newest that has schemas.
VERSIONS = ("1.30", "1.34", "1.37")

# The Prometheus Operator's: it is not Kubernetes' own and has no schema here.
CUSTOM_KINDS = {("monitoring.coreos.com/v1", "ServiceMonitor")}

# The package reads its definitions, 2 MB, again for each object.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


@functools.cache
def _error(content: str, version: str) -> str:
    """Most objects are the same in several cases, hence the cache, and hence text."""
    try:
        kubernetes_validate.validate(json.loads(content), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return str(error.message)
    return ""


def validate(renders: list[Rendered]) -> Outcome:
    problems = []
    skipped = set()
    count = 0
    for rendered in renders:
        for document in rendered.documents:
            if (document.content["apiVersion"], document.kind) in CUSTOM_KINDS:
                skipped.add(document.kind)
                continue
            count += 1
            for version in VERSIONS:
                if error := _error(json.dumps(document.content), version):
                    what = f"Kubernetes {version} refuses it: {error}"
                    problems.append(Problem(rendered.where(document), what, f"mend {document.source}"))
    left_out = f", left out: {', '.join(sorted(skipped))}" if skipped else ""
    return Outcome(f"{count} objects against {', '.join(VERSIONS)}{left_out}", problems)
