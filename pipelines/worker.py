"""`tandem-worker`: the Python that a runner starts on each of its machines to run the steps of a Beam job.

Speaks Beam's contract of SDK harness containers (`--id`, `--provision_endpoint`, …), so that a runner can start it as a
plain process, without a container: Tandem is installed on the machine already, and nothing has to be staged.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Final

import grpc
from apache_beam.portability.api import beam_provision_api_pb2 as provision
from apache_beam.portability.api import beam_provision_api_pb2_grpc, endpoints_pb2
from apache_beam.runners.worker import sdk_worker_main
from google.protobuf import json_format, text_format

PROVISION_TIMEOUT_S: Final = 60.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Asks the runner what to do, and does it until the runner closes the connection."""
    parser = argparse.ArgumentParser(prog="tandem-worker", description=__doc__)
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    given, _ = parser.parse_known_args(arguments)
    os.environ.update(describe(given.id, ask(given.id, given.provision_endpoint)))
    sdk_worker_main.main([])


def ask(worker_id: str, provision_endpoint: str) -> provision.ProvisionInfo:
    """Returns what the runner has to say about the job."""
    with grpc.insecure_channel(provision_endpoint) as channel:
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        request = provision.GetProvisionInfoRequest()
        caller = (("worker_id", worker_id),)
        return service.GetProvisionInfo(request, PROVISION_TIMEOUT_S, metadata=caller, wait_for_ready=True).info


def describe(worker_id: str, info: provision.ProvisionInfo) -> Mapping[str, str]:
    """Returns the variables that Beam's worker reads."""
    return {
        "WORKER_ID": worker_id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
        "CONTROL_API_SERVICE_DESCRIPTOR": _descriptor(info.control_endpoint.url),
        "LOGGING_API_SERVICE_DESCRIPTOR": _descriptor(info.logging_endpoint.url),
    }


def _descriptor(url: str) -> str:
    return text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url))


if __name__ == "__main__":
    main()
