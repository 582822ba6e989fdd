"""`--check`: one read-only pass over everything that a run needs, with advice for what is wrong."""

from __future__ import annotations

import contextlib
import difflib
import enum
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from target_databox import __version__
from target_databox.api.budget import BlockingBudget, Budget
from target_databox.api.errors import (
    DataboxError,
    DatasetError,
    KeyRefusedError,
    RefusedError,
    SetupError,
    TransientError,
)
from target_databox.api.retries import call_with_retries
from target_databox.destination.known_keys import check_existence
from target_databox.destination.sources import Sources
from target_databox.outputs.printable import keep_secret
from target_databox.outputs.rejects import RejectsFile
from target_databox.rehearsal.estimates import rows_per_hour
from target_databox.rehearsal.tables import cell, echo, plain_table
from target_databox.settings.errors import SettingsError
from target_databox.settings.reading import settings_of_run
from target_databox.versions import client_class

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from target_databox.api.values import DataSource
    from target_databox.settings.reading import Settings
    from target_databox.versions import AnyClient

logger = logging.getLogger("target-databox")

T = TypeVar("T")

# Somebody waits for the answer, so requests are not retried for all of retry_seconds.
MOST_RETRY_SECONDS: Final = 5.0
# D: Databox's page on authentication.
WHERE_KEYS_ARE_MADE: Final = (
    "Administrators make keys in Databox: Account Management > Profile > Password & Security > API key > "
    "Create."
)


class Outcome(enum.Enum):
    """The outcome of one check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"
    SKIPPED = "not looked at"


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        what: What was checked.
        found: What was found.
        advice: What to do; empty if nothing.
    """

    what: str
    outcome: Outcome
    found: str
    advice: str = ""


def run(config: Mapping[str, Any], process: Mapping[str, str], *, parse_env: bool) -> bool:
    """Check everything and print the table; True if a run can start.

    Args:
        config: The configuration of files.
        process: The process's environment.
        parse_env: Whether settings are taken from the environment.
    """
    try:
        settings = settings_of_run(config, process, parse_env=parse_env, require_key=False)
    except SettingsError as error:
        findings = [Finding("settings", Outcome.FAILED, problem) for problem in error.problems]
    else:
        keep_secret(settings.api_key)
        findings = Check(settings).findings()
    failed = [finding for finding in findings if finding.outcome is Outcome.FAILED]
    from rich.text import Text

    table = plain_table("what", "outcome", "found")
    styles = {Outcome.OK: "green", Outcome.WARNING: "yellow", Outcome.FAILED: "red", Outcome.SKIPPED: "dim"}
    for finding in findings:
        # As text, so that brackets in titles are not taken for markup.
        outcome = Text(finding.outcome.value, styles[finding.outcome])
        table.add_row(Text(cell(finding.what)), outcome, Text(cell(finding.found)))
        if finding.advice:
            table.add_row("", "", Text(f"→ {cell(finding.advice)}", "bold"))
    conclusion = "A run can start." if not failed else f"A run can't start: {_and(failed)}."
    echo(table, conclusion)
    return not failed


class Check:
    """Reads what a run with these settings would find; creates and changes nothing.

    Args:
        settings: The run's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._findings: list[Finding] = []
        budget = Budget(settings.requests_per_second, settings.requests_per_hour)
        self._blocking_budget = BlockingBudget(budget)

    def findings(self) -> list[Finding]:
        """Everything that was checked, in order."""
        settings = self._settings
        if settings.emulated:
            self._note("emulator", f"everything goes to {settings.api_url}, whatever the configuration says")
        if not settings.api_key:
            self._fail("API key", "not set", f"Set api_key (TARGET_DATABOX_API_KEY). {WHERE_KEYS_ARE_MADE}")
            self._skip("account", "data source", "time zone", "datasets")
        else:
            self._look_at_databox()
        self._look_at_budget()
        self._look_at_rejects()
        return self._findings

    def _look_at_databox(self) -> None:
        settings = self._settings
        try:
            client = client_class(settings.api_version)(
                settings.api_url,
                settings.api_key,
                account_id=settings.account_id,
                request_timeout_seconds=settings.request_timeout_seconds,
                user_agent=f"target-databox/{__version__}",
            )
        except ValueError as error:
            self._fail("API", str(error))
            self._skip("account", "data source", "time zone", "datasets")
            return
        try:
            self._ask(client)
        finally:
            client.close()

    def _ask(self, client: AnyClient) -> None:
        settings = self._settings
        sources = Sources(
            client,
            self._with_retries,
            account_id=settings.account_id,
            data_source_id=settings.data_source_id,
            data_source_title=settings.data_source_title,
            timezone=settings.timezone,
            dialect=settings.dialect,
            new_key=str,
        )
        if not self._look_at_key(client):
            self._skip("account", "data source", "time zone", "datasets")
            return
        if not self._look_at_account(client, sources):
            self._skip("data source", "time zone", "datasets")
            return
        try:
            source = sources.find_data_source()
        except (DataboxError, SetupError) as error:
            self._fail("data source", *_problem_and_advice(error))
            self._skip("time zone", "datasets")
            return
        if source is None:
            found = f"none has the title {settings.data_source_title!r}; the first run creates it"
        else:
            found = f"{source.id} {source.title or ''!r}, time zone {source.timezone or 'not told'}"
        self._note("data source", found)
        self._look_at_timezone(client, source)
        self._look_at_datasets(client, sources, source)
        self._look_at_role(client)

    def _look_at_key(self, client: AnyClient) -> bool:
        try:
            self._with_retries(client.validate_key)
        except KeyRefusedError as error:
            advice = f"Check api_key, and the IP addresses that the key is bound to. {WHERE_KEYS_ARE_MADE}"
            self._fail("API key", error.happened, advice)
        except DataboxError as error:
            self._fail("API", *_problem_and_advice(error))
        else:
            self._note("API key", f"valid at {self._settings.api_url}")
            return True
        return False

    def _look_at_account(self, client: AnyClient, sources: Sources) -> bool:
        settings = self._settings
        try:
            if settings.data_source_id is not None and not settings.dialect.lists_all_datasets:
                self._look_past_account(sources)
                return True
            if settings.account_id is not None:
                # As a run asks first: an emulator takes over a configured account that it is asked for.
                with contextlib.suppress(RefusedError):
                    self._with_retries(lambda: client.data_sources(settings.account_id or 0, 1))
            account = sources.resolve_account()
            self._note("account", f"{account.id} {account.name!r} ({account.account_type})")
        except (DataboxError, SetupError) as error:
            self._fail("account", *_problem_and_advice(error))
            return False
        return True

    def _look_past_account(self, sources: Sources) -> None:
        """Report the account where data_source_id is set: a run does not ask for it then."""
        accounts, account_id = sources.accounts(), self._settings.account_id
        if account_id is None or any(account.id == account_id for account in accounts):
            self._note("account", f"not needed, since data_source_id is set; the key sees {len(accounts)}")
        else:
            self._warn("account", f"the key can't see the account {account_id}; data_source_id is used")

    def _look_at_timezone(self, client: AnyClient, source: DataSource | None) -> None:
        name = self._settings.timezone
        try:
            known = self._with_retries(client.timezones)
        except DataboxError as error:
            self._warn("time zone", f"whether Databox supports {name} could not be read: {error.happened}")
            return
        if name in known:
            self._note("time zone", f"{name} is supported")
            return
        nearest = difflib.get_close_matches(name, known, n=1)
        advice = f"Set timezone to one that it supports{f', such as {nearest[0]}' if nearest else ''}."
        if source is None:
            self._fail("time zone", f"Databox does not support {name}", advice)
        else:
            self._warn("time zone", f"Databox does not support {name}; the data source keeps its own", advice)

    def _look_at_role(self, client: AnyClient) -> None:
        """Say so where the key's user may not be allowed to create datasets."""
        try:
            role = self._with_retries(client.role)
        except DataboxError as error:
            self._warn("role", f"could not be read: {error.happened}")
            return
        if role is None:
            return
        if role == "admin":
            self._note("role", "admin, who may create datasets everywhere")
            return
        self._warn(
            "role",
            f"{role}, who may create datasets only in data sources that the same user created",
            "Use the key of an admin, or of the data source's creator, if a run has to create some.",
        )

    def _look_at_datasets(self, client: AnyClient, sources: Sources, source: DataSource | None) -> None:
        settings = self._settings
        if source is not None:
            try:
                titles = [dataset.title or "" for dataset in sources.datasets_of(source)]
            except (DataboxError, SetupError) as error:
                self._fail("datasets", *_problem_and_advice(error))
                return
            self._note(
                "datasets", f"{len(titles)} in the data source; a stream's is found by title, or created"
            )
        else:
            self._note("datasets", "none yet; the first run creates one for each stream")
        for stream, dataset_id in settings.dataset_ids.items():
            what = f"dataset of {stream}"
            try:
                check_existence(client, self._with_retries, stream, dataset_id)
            except (DataboxError, DatasetError, ValueError) as error:
                self._fail(what, *_problem_and_advice(error))
            else:
                self._note(what, f"{dataset_id} exists")

    def _look_at_budget(self) -> None:
        settings = self._settings
        for confirmation in ("rows", "status"):
            rows = rows_per_hour(
                confirmation,
                batch_rows=settings.batch_size_rows,
                page_size=settings.dialect.page_size,
                per_second=settings.requests_per_second,
                per_hour=settings.requests_per_hour,
            )
            chosen = " (as set)" if confirmation == settings.confirmation else ""
            self._note(
                "request budget", f"at most {rows:,.0f} rows an hour with confirmation {confirmation}{chosen}"
            )

    def _look_at_rejects(self) -> None:
        settings = self._settings
        if settings.rejects_path is None:
            self._note("rejected records", "the first one ends a run, since rejects_path is not set")
            return
        RejectsFile(settings.rejects_path)  # warns of those of earlier runs
        self._note("rejected records", f"are appended to {settings.rejects_path}")

    def _with_retries(self, call: Callable[[], T]) -> T:
        seconds = min(MOST_RETRY_SECONDS, self._settings.retry_seconds)
        return call_with_retries(call, budget=self._blocking_budget, retry_seconds=seconds)

    def _note(self, what: str, found: str) -> None:
        self._findings.append(Finding(what, Outcome.OK, found))

    def _warn(self, what: str, found: str, advice: str = "") -> None:
        self._findings.append(Finding(what, Outcome.WARNING, found, advice))

    def _fail(self, what: str, found: str, advice: str = "") -> None:
        self._findings.append(Finding(what, Outcome.FAILED, found, advice))

    def _skip(self, *things: str) -> None:
        for what in things:
            self._findings.append(Finding(what, Outcome.SKIPPED, "needs what failed above"))


def _problem_and_advice(error: Exception) -> tuple[str, str]:
    """What happened, and what to do where the error says that separately."""
    if isinstance(error, TransientError):
        return error.happened, "Check the network, the proxy and api_url; or try again later."
    return str(error), ""


def _and(findings: list[Finding]) -> str:
    names = list(dict.fromkeys(finding.what for finding in findings))
    what = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"see {what} above"
