"""Stdout carries the result and nothing else; errors have a message, an exit code and, as JSON, an object."""

from __future__ import annotations

import json
import os
import signal

from tests.cli.conftest import Run


def test_nothing_but_the_result_reaches_stdout(session_script: Run) -> None:
    run = session_script(
        "print('from python')\n"
        "os.write(1, b'from a library in C\\n')\n"
        "subprocess.run(['echo', 'from a child process'])\n"
        "session.finish({'answer': 42})\n"
        "print('after the result')"
    )
    assert run.stdout == '{"answer": 42}\n'
    assert run.returncode == 0
    for text in ("from python", "from a library in C", "from a child process", "after the result"):
        assert text in run.stderr


def test_without_json_the_shown_text_is_the_result(session_script: Run) -> None:
    run = session_script("session.finish({'answer': 42}, 'The answer is 42.')", as_json=False)
    assert run.stdout == "The answer is 42.\n"


def test_no_child_process_can_hold_the_callers_stdout_open(session_script: Run) -> None:
    # The child outlives the command by a minute: had it the caller's stdout, reading it to the end would take as long.
    run = session_script(
        "null = subprocess.DEVNULL\n"
        "child = subprocess.Popen(['sleep', '60'], close_fds=False, stdin=null, stdout=null, stderr=null)\n"
        "session.finish({'child': child.pid})"
    )
    child = json.loads(run.stdout)["child"]
    os.kill(child, 0)  # it does live still
    os.kill(child, signal.SIGKILL)


def test_an_error_of_the_family_is_its_message_and_exit_code_without_a_traceback(session_script: Run) -> None:
    run = session_script("raise BundleError('Expected a, got b. Do c.')")
    assert run.returncode == 5
    assert run.stderr == "Expected a, got b. Do c.\n"
    assert json.loads(run.stdout) == {
        "error": {"kind": "BundleError", "message": "Expected a, got b. Do c.", "exit_code": 5}
    }


def test_without_json_an_error_leaves_stdout_empty(session_script: Run) -> None:
    run = session_script("raise BundleError('Expected a, got b. Do c.')", as_json=False)
    assert (run.returncode, run.stdout) == (5, "")


def test_an_interrupt_ends_with_130_and_says_how_to_go_on(session_script: Run) -> None:
    run = session_script("os.kill(os.getpid(), signal.SIGINT)\nsignal.pause()")
    assert run.returncode == 130
    assert "Run the same command again to go on." in run.stderr
    assert json.loads(run.stdout)["error"]["kind"] == "Interrupted"


def test_a_request_to_terminate_runs_every_finally(session_script: Run) -> None:
    run = session_script(
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\n    signal.pause()\nfinally:\n    print('cleaned up')"
    )
    assert run.returncode == 143
    assert "cleaned up" in run.stderr


def test_a_bug_escapes_with_its_traceback_and_exit_code_1(session_script: Run) -> None:
    run = session_script("{}['missing']")
    assert run.returncode == 1
    assert "Traceback" in run.stderr
    assert "KeyError: 'missing'" in run.stderr
    assert json.loads(run.stdout)["error"]["kind"] == "KeyError"


def test_a_reader_who_has_seen_enough_is_no_error(session_script: Run) -> None:
    run = session_script(
        "reading, writing = os.pipe()\n"
        "os.dup2(writing, session._stdout.fileno())\n"
        "os.close(writing)\n"
        "os.close(reading)\n"
        "session.finish({'answer': 42})"
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_a_result_that_json_cannot_carry_is_a_bug_not_a_broken_object(session_script: Run) -> None:
    run = session_script("session.finish({'loss': float('nan')})")
    assert run.returncode == 1
    assert "NaN" not in run.stdout


def test_what_the_person_set_for_tensorflows_log_stands(session_script: Run) -> None:
    run = session_script("session.finish({'level': os.environ['TF_CPP_MIN_LOG_LEVEL']})")
    assert json.loads(run.stdout) == {"level": "3"}
    run = session_script(
        "from cli.session import quieten\n"
        "os.environ['TF_CPP_MIN_LOG_LEVEL'] = '0'\n"
        "quieten()\n"
        "session.finish({'level': os.environ['TF_CPP_MIN_LOG_LEVEL']})"
    )
    assert json.loads(run.stdout) == {"level": "0"}
