"""The family of errors that Tandem raises on purpose.

Every message says what was expected, what came and what to do. The command line prints the message alone and
exits with `exit_code`; the service answers with `http_status`. Anything else that escapes is a bug.
"""

from __future__ import annotations


class TandemError(Exception):
    """Base of all errors that a person can mend."""

    exit_code = 1
    http_status = 500


class ContractError(TandemError, ValueError):
    """A value breaks the law of its contract type."""

    exit_code = 2
    http_status = 422


class ConfigError(TandemError):
    """A setting is unknown, malformed or out of range."""

    exit_code = 2


class DatasetError(TandemError):
    """A data file is missing, truncated or not what it claims to be."""

    exit_code = 3


class WorkspaceError(TandemError):
    """A workspace lacks what a command needs; the message names the command that makes it."""

    exit_code = 4
    http_status = 503


class BundleError(TandemError):
    """A bundle is incomplete, altered, unsigned or signed by an unknown key."""

    exit_code = 5
    http_status = 503


class VersionMismatchError(TandemError):
    """A delta does not start at the version that the receiver holds; ask for a snapshot."""

    exit_code = 5
    http_status = 409


class TrainingError(TandemError):
    """Training cannot go on (no examples, a diverged loss, an incompatible checkpoint)."""

    exit_code = 6


class ClusterError(TrainingError):
    """A cluster gave a job up, for a reason of its own."""


class FederationError(TandemError):
    """A federated round cannot be run or its worker was lost."""

    exit_code = 7


class StoreAwayError(TandemError):
    """A store on another machine does not answer; what can be done without it is done without it."""

    exit_code = 4
    http_status = 503


class OverloadError(TandemError):
    """The service is at capacity; try again later."""

    http_status = 429
