from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from serving.log import JsonLines, log_configuration
from tests.serving.conftest import start


def format_record(message="event", exc_info=None, **extra):
    record = logging.LogRecord("tandem.serving", logging.INFO, __file__, 1, message, (), exc_info)
    record.__dict__.update(extra)
    return json.loads(JsonLines().format(record))


def test_a_record_is_one_line_of_json_with_its_fields():
    line = format_record("request", fields={"route": "/v1/rerank", "status": 200})
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "info", "event": "request", "route": "/v1/rerank", "status": 200}


def test_a_time_is_that_of_the_record_to_the_millisecond():
    for created in (1_700_000_000.0, 1_700_000_000.0625, 1_700_000_001.5):
        expected = datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")
        assert format_record(created=created)["time"] == expected


def test_half_a_surrogate_pair_is_written_too():
    assert format_record(fields={"reason": "no \ud800"})["reason"] == "no \ud800"


def test_a_line_break_within_an_event_makes_no_second_line():
    record = logging.LogRecord("uvicorn.error", logging.ERROR, __file__, 1, "Exception in\napplication\n", (), None)
    assert "\n" not in JsonLines().format(record)


def test_of_an_error_the_log_keeps_where_and_what_but_not_what_was_said():
    try:
        raise ValueError("the history of u01")
    except ValueError:
        line = format_record(exc_info=sys.exc_info())
    assert line["error"] == "ValueError"
    assert "test_log.py" in line["trace"][-1]
    assert "u01" not in json.dumps(line)


def test_the_configuration_is_one_that_logging_accepts():
    import logging.config

    before = logging.getLogger("tandem").handlers[:]
    logging.config.dictConfig(log_configuration())
    try:
        assert isinstance(logging.getLogger("tandem").handlers[0].formatter, JsonLines)
    finally:
        logging.getLogger("tandem").handlers[:] = before
        logging.getLogger("tandem").propagate = True
        logging.getLogger("uvicorn").handlers[:] = []
        logging.getLogger("uvicorn").propagate = True


def test_each_request_is_one_record_without_ids_of_people_or_items(bundled_workspace, caplog):
    caplog.set_level(logging.INFO, "tandem.serving")
    with start(bundled_workspace) as client:
        body = {"surface": "feed", "count": 1, "user_id": "u01", "exclude_ids": ["i009"]}
        response = client.post("/v1/recommend?who=u01", json=body)
        client.get("/u01/i009")
        client.get("/healthz")
    records = [record.fields for record in caplog.records if record.message == "request"]
    assert [(record["route"], record["status"]) for record in records] == [("/v1/recommend", 200), ("unmatched", 404)]
    assert records[0]["request_id"] == response.headers["x-request-id"]
    assert records[0]["ms"] > 0
    text = "".join(JsonLines().format(record) for record in caplog.records)
    assert "u01" not in text
    assert "i009" not in text


def test_the_bundle_that_is_served_is_logged(bundled_workspace, bundle, caplog):
    caplog.set_level(logging.INFO, "tandem.serving")
    with start(bundled_workspace):
        pass
    [record] = [record for record in caplog.records if record.message == "bundle served"]
    assert record.fields == {"bundle_version": bundle.manifest.version}
