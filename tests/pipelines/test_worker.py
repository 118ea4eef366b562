from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from apache_beam.portability.api import beam_provision_api_pb2 as provision
from apache_beam.portability.api import beam_provision_api_pb2_grpc
from google.protobuf.struct_pb2 import Struct

from pipelines.worker import ask, describe, main


class Provision(beam_provision_api_pb2_grpc.ProvisionServiceServicer):
    """Says what a runner says, to callers that give their id as Beam's runners ask."""

    def GetProvisionInfo(  # noqa: N802
        self, request: provision.GetProvisionInfoRequest, context: grpc.ServicerContext
    ) -> provision.GetProvisionInfoResponse:
        if dict(context.invocation_metadata()).get("worker_id") != "1-1":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "who asks?")
        options = Struct()
        options.update({"beam:option:job_name:v1": "prepare"})
        info = provision.ProvisionInfo(pipeline_options=options, runner_capabilities=["a", "b"])
        info.control_endpoint.url = "localhost:1"
        info.logging_endpoint.url = "localhost:2"
        return provision.GetProvisionInfoResponse(info=info)


def test_the_worker_reads_from_the_runner_what_beam_wants_to_know() -> None:
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(Provision(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            told = describe("1-1", ask("1-1", f"127.0.0.1:{port}"))
        finally:
            server.stop(None).wait()
    assert json.loads(told["PIPELINE_OPTIONS"]) == {"beam:option:job_name:v1": "prepare"}
    assert told["WORKER_ID"] == "1-1"
    assert told["RUNNER_CAPABILITIES"] == "a b"
    assert told["CONTROL_API_SERVICE_DESCRIPTOR"].strip() == 'url: "localhost:1"'
    assert told["LOGGING_API_SERVICE_DESCRIPTOR"].strip() == 'url: "localhost:2"'


def test_a_worker_that_no_runner_started_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--id=1"])
    assert "--provision_endpoint" in capsys.readouterr().err
