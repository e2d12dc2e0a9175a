"""Copy a suspended RayJob, let the copy run, and wait until it is over: what the nightly CronJob does.

Example (in a pod, whose service account may `get` and `create` rayjobs):
    python /opt/hf2vad/submit_nightly.py hf2vad-nightly

JOB_NAME and JOB_UID are those of the Job that this pod belongs to. The copy gets its name, so that a pod which is
started again finds it and waits on, and belongs to it, so that it goes when the Job goes.

Exit code: 0 the run succeeded, 1 it did not, or could not be started (the last line says why).
"""

from __future__ import annotations

import argparse
import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
PATIENCE_SECONDS = 900
"""How long the API server may be away, as while it is upgraded, before waiting is given up."""


class SubmitError(Exception):
    """Error that ends the submitter, in one line."""


class RayJobs:
    """The RayJobs of the pod's own namespace, through the Kubernetes API."""

    def __init__(self, account: Path) -> None:
        """`account`: the folder with the service account's token, CA and namespace."""
        try:
            host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
            namespace = (account / "namespace").read_text().strip()
        except (KeyError, OSError) as error:
            raise SubmitError(f"this is not a pod with a service account: {error} is missing") from None
        host = f"[{host}]" if ":" in host else host
        self._url = f"https://{host}:{port}/apis/ray.io/v1/namespaces/{namespace}/rayjobs"
        self._token = account / "token"
        self._tls = ssl.create_default_context(cafile=str(account / "ca.crt"))

    def get(self, name: str) -> dict[str, Any]:
        """The RayJob. Raises HTTPError, or URLError where the API server is away."""
        return self._ask("GET", f"{self._url}/{name}")

    def create(self, rayjob: dict[str, Any]) -> bool:
        """Make a RayJob; false when there is one of that name. Raises as `get`."""
        try:
            self._ask("POST", self._url, rayjob)
        except urllib.error.HTTPError as error:
            if error.code == 409:
                return False
            raise
        return True

    def _ask(self, method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        # The token is read each time, since Kubernetes replaces it every hour.
        headers = {"Authorization": f"Bearer {self._token.read_text().strip()}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30, context=self._tls) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


def copy_of(template: dict[str, Any], name: str, owner_uid: str) -> dict[str, Any]:
    """A RayJob that runs what `template` says, and belongs to the Job `name`."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": owner_uid}
    return {
        "apiVersion": template["apiVersion"],
        "kind": template["kind"],
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": {**template["spec"], "suspend": False},
    }


def wait(rayjobs: RayJobs, name: str, every: float) -> None:
    """Print how the run goes until it is over. Raises SubmitError unless it succeeded."""
    shown, heard = None, time.monotonic()
    while True:
        try:
            status = rayjobs.get(name).get("status", {})
            heard = time.monotonic()
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            for_good = isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code != 429
            if for_good or time.monotonic() - heard > PATIENCE_SECONDS:
                raise
            status = {}
        deployment, job = status.get("jobDeploymentStatus", ""), status.get("jobStatus", "")
        if deployment and (deployment, job) != shown:
            shown = deployment, job
            print(f"{name}: {deployment} {job}".rstrip(), flush=True)
        if deployment in ("Complete", "Failed"):
            if job == "SUCCEEDED":
                return
            why = " ".join(filter(None, (status.get("reason"), status.get("message"))))
            raise SubmitError(f"{name}: {job or deployment}: {why or 'its log says why'}")
        time.sleep(every)


def main() -> int:
    """Parse, copy, wait; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("template", help="name of the suspended RayJob")
    parser.add_argument("--account", type=Path, default=Path(ACCOUNT), help="folder of the service account")
    parser.add_argument("--every", type=float, default=15.0, help="seconds between looks")
    options = parser.parse_args()
    try:
        name, uid = os.environ.get("JOB_NAME", ""), os.environ.get("JOB_UID", "")
        if not name or not uid:
            raise SubmitError("JOB_NAME and JOB_UID must be those of the Job that this pod belongs to")
        rayjobs = RayJobs(options.account)
        made = rayjobs.create(copy_of(rayjobs.get(options.template), name, uid))
        print(f"{name}: {'started' if made else 'was started before; waiting on'}", flush=True)
        wait(rayjobs, name, options.every)
    except urllib.error.HTTPError as error:
        print(f"error: {error.url}: {error.code} {error.reason}", file=sys.stderr)
        return 1
    except (SubmitError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
