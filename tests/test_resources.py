"""Facts on how a run finds what it loads into, creates it once, and says what is wrong with it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from target_databox.api.errors import (
    AccountError,
    DatasetError,
    DataSourceError,
    IdempotencyError,
    KeyRefusedError,
    KeysDifferError,
    LostAnswerError,
)
from target_databox.api.values import DataSource
from target_databox.destination.resources import ResolvedDataset
from target_databox.destination.titles import with_title
from target_databox.emulator.state.shapes import Account
from tests.finding import COLUMNS, Column, asked, id_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.emulator import Emulator
    from tests.conftest import EmulatorMaker
    from tests.finding import Run

both = pytest.mark.parametrize("version", ["v1", "v2"])
# The route that tells a dataset's keys.
DETAIL = {"v1": "dataset", "v2": "schema"}
# The lists of data sources and of datasets.
LISTS = {
    "v1": ("GET /v1/accounts/{accountId}/data-sources", "GET /v1/data-sources/{dataSourceId}/datasets"),
    "v2": ("GET /v2/data-sources", "GET /v2/datasets"),
}


@both
def test_first_run_creates_everything(emulator: Emulator, run_on: Callable[..., Run], version: str) -> None:
    """A first run creates data source and dataset with its title, zone, keys and columns."""
    run = run_on(emulator, version=version, data_source_title=" Shop ", timezone="Europe/Berlin")
    found = run.dataset("orders", "Orders", primary_keys=["id"], columns=COLUMNS)
    [source], [dataset] = emulator.store.data_sources(), emulator.store.datasets()
    assert (source.title, source.timezone) == ("Shop", "Europe/Berlin")
    assert (dataset.title, dataset.keys, dataset.data_source_id) == ("Orders", ("id",), source.id)
    assert found == ResolvedDataset(
        id_in(version, dataset), "Orders", created=True, keys=("id",), keys_known=True
    )
    assert run.sources.resolve_data_source()[1]
    accounts = {"v1": ["accounts"], "v2": ["organization", "accounts"]}[version]
    assert asked(emulator) == [
        *accounts,
        "data_sources",
        "create_data_source",
        "data_sources",
        *({"v1": [], "v2": ["data_source"]}[version]),
        "datasets",
        "create_dataset",
        "datasets",
    ]
    assert {each.version for each in emulator.log} == {version}
    assert run.turns.taken == len(asked(emulator))


@both
def test_second_run_finds_everything(emulator: Emulator, run_on: Callable[..., Run], version: str) -> None:
    """A second run finds what the first made, with as few requests as that takes."""
    first = run_on(emulator, version=version).dataset("orders", "Orders", primary_keys=["id"])
    emulator.log.clear()
    run = run_on(emulator, version=version)
    second = run.dataset("orders", " Orders ", primary_keys=["id"])
    assert second == ResolvedDataset(first.id, "Orders", created=False, keys=("id",), keys_known=True)
    assert not run.sources.resolve_data_source()[1]
    assert (
        asked(emulator)
        == {
            "v1": ["accounts", "data_sources", "datasets", "dataset"],
            "v2": ["organization", "accounts", "data_sources", "data_source", "datasets", "schema"],
        }[version]
    )


@both
def test_lists_are_read_once(emulator: Emulator, run_on: Callable[..., Run], version: str) -> None:
    """Further streams cost no further listing while theirs exist."""
    names = ["a", "b", "c"]
    for name in names:
        run_on(emulator, version=version).dataset(name, name)
    emulator.log.clear()
    run = run_on(emulator, version=version, account_id=123456)
    for name in names:
        run.dataset(name, name)
    source = {"v1": ["data_sources"], "v2": ["data_sources", "data_source"]}[version]
    assert asked(emulator) == [*source, "datasets", *[DETAIL[version]] * 3]


def test_configured_sources_cost_one_lookup(emulator: Emulator, run_on: Callable[..., Run]) -> None:
    """A data source by id is looked up once, before the first dataset is created in it, and then no more."""
    source = emulator.store.create_data_source("Other")
    run = run_on(emulator, data_source_id=source.id)
    found = run.dataset("s", "S")
    run.dataset("t", "T")
    assert emulator.store.dataset(found.id).data_source_id == source.id
    creation = ["create_dataset", "datasets"]
    assert asked(emulator) == ["datasets", "accounts", "data_sources", *creation, *creation]
    emulator.log.clear()
    run_on(emulator, data_source_id=source.id).dataset("s", "S")
    assert asked(emulator) == ["datasets", "dataset"]


@both
def test_configured_datasets_cost_one_request(
    emulator: Emulator, run_on: Callable[..., Run], version: str
) -> None:
    """A dataset by id is used without creating, or even looking for, a data source."""
    dataset = emulator.store.create_dataset("D", emulator.store.create_data_source("Other").id, ["id"])
    found = run_on(emulator, version=version).dataset(
        "s", "ignored", dataset_id=id_in(version, dataset), primary_keys=["id"]
    )
    assert found == ResolvedDataset(
        id_in(version, dataset), None, created=False, keys=("id",), keys_known=True
    )
    assert asked(emulator) == [DETAIL[version]]


@both
@pytest.mark.parametrize("status", ["404", "400"])
def test_unknown_datasets_are_named(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run], status: str, version: str
) -> None:
    """A configured dataset that doesn't exist is an error that names the setting."""
    emulator = make_emulator(unknown_id_status=status)
    with pytest.raises(
        DatasetError, match=r"The dataset 99 of the stream 's' can't be used: .* Correct dataset_ids"
    ):
        run_on(emulator, version=version).dataset("s", "S", dataset_id="99")
    assert not emulator.store.data_sources()


@pytest.mark.parametrize("dataset_id", ["", " ", "."])
def test_dataset_ids_must_be_ids(emulator: Emulator, run_on: Callable[..., Run], dataset_id: str) -> None:
    """What can't be an id is refused without a request."""
    with pytest.raises(DatasetError, match="dataset_ids names"):
        run_on(emulator).dataset("s", "S", dataset_id=dataset_id)
    assert not asked(emulator)


@pytest.mark.parametrize("status", ["404", "400"])
def test_unknown_data_sources_are_named(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run], status: str
) -> None:
    """A configured data source that doesn't exist is an error that lists those that do."""
    emulator = make_emulator(unknown_id_status=status)
    source = emulator.store.create_data_source("Shop")
    known = rf'Known are: {source.id} "Shop"\. Correct data_source_id'
    with pytest.raises(DataSourceError, match=known):
        run_on(emulator, data_source_id=99).dataset("s", "S")
    with pytest.raises(DataSourceError, match=known):
        run_on(emulator, data_source_id=99).sources.find_data_source()


def test_unknown_data_source_names_all_accounts(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run]
) -> None:
    """Without account_id the data sources of every account of the key are listed."""
    emulator = make_emulator(accounts=[Account(1, "One"), Account(2, "Two")])
    for account_id in (1, 2):
        emulator.store.create_data_source(f"Shop {account_id}", account_id)
    with pytest.raises(DataSourceError, match=r'"Shop 1", [0-9]+ "Shop 2"'):
        run_on(emulator, data_source_id=99).dataset("s", "S")


@pytest.mark.parametrize("status", ["404", "400"])
def test_unknown_accounts_are_named(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run], status: str
) -> None:
    """A configured account that doesn't exist is an error that lists those that do."""
    emulator = make_emulator(unknown_id_status=status)
    with pytest.raises(AccountError) as caught:
        run_on(emulator, account_id=5).sources.resolve_data_source()
    assert str(caught.value) == (
        "The account 5 does not exist, or the API key can't see it. The key's accounts are: 123456 "
        '"Emulated account". Set account_id to one of them.'
    )


def test_forbidden_accounts_are_named(emulator: Emulator, run_on: Callable[..., Run]) -> None:
    """An account that is answered with 403 is named when the key can't see it, else the key is refused."""
    emulator.faults.add("data_sources", status=403)
    with pytest.raises(AccountError, match="The account 5 does not exist"):
        run_on(emulator, account_id=5).sources.resolve_data_source()
    with pytest.raises(KeyRefusedError):
        run_on(emulator, account_id=123456).sources.resolve_data_source()


@both
def test_several_accounts_need_a_choice(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run], version: str
) -> None:
    """With several accounts and no setting, an error lists them; with the setting it is that one."""
    emulator = make_emulator(accounts=[Account(1, "A", "agency"), Account(2, "B")])
    with pytest.raises(AccountError) as caught:
        run_on(emulator, version=version).sources.resolve_data_source()
    assert str(caught.value) == (
        'The API key can see several accounts: 1 "A", 2 "B". Set account_id to one of them.'
    )
    source, _ = run_on(emulator, version=version, account_id=2).sources.resolve_data_source()
    assert [each.id for each in emulator.store.data_sources(2)] == [source.id]


def test_no_account_is_an_error(emulator: Emulator, run_on: Callable[..., Run]) -> None:
    """A key without accounts is told so."""
    emulator.faults.add("accounts", status=200, body='{"accounts": []}')
    with pytest.raises(AccountError, match="can see no account"):
        run_on(emulator).sources.resolve_account()


@both
def test_oldest_of_several_is_used(
    emulator: Emulator, run_on: Callable[..., Run], caplog: pytest.LogCaptureFixture, version: str
) -> None:
    """Of several with one title the oldest is used, with a warning that names the setting."""
    sources = [emulator.store.create_data_source(" Shop") for _ in range(2)]
    datasets = [emulator.store.create_dataset("S", sources[0].id, []) for _ in range(3)]
    run = run_on(emulator, version=version, data_source_title="Shop")
    ids = [id_in(version, each) for each in datasets]
    assert run.dataset("s", "S").id == ids[0]
    assert f"The oldest, {sources[0].id}, is used; set data_source_id" in caplog.text
    assert f"The oldest, {ids[0]}, is used; set dataset_ids" in caplog.text
    assert all(each in caplog.text for each in ids)


def unsupported(emulator: Emulator, *ids: int) -> None:
    """Answer the list of data sources with those of the emulator, of which some take no data."""
    sources = [
        {"id": each.id, "title": each.title, "ingestionSupported": each.id not in ids}
        for each in emulator.store.data_sources()
    ]
    emulator.faults.add("data_sources", status=200, body=json.dumps({"dataSources": sources}))


def test_sources_that_take_no_data_are_skipped(
    emulator: Emulator, run_on: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    """Of several data sources with one title the oldest that takes data is used."""
    first, second, third = (emulator.store.create_data_source("Shop").id for _ in range(3))
    unsupported(emulator, first)
    run = run_on(emulator, data_source_title="Shop")
    assert run.sources.resolve_data_source()[0].id == second
    assert f'the same title: {second} "Shop", {third} "Shop". The oldest' in caplog.text
    emulator.faults.clear()
    unsupported(emulator, first, second)
    caplog.clear()
    assert run_on(emulator, data_source_title="Shop").sources.resolve_data_source()[0].id == third
    assert not caplog.records


def test_sources_of_others_get_a_namesake(
    emulator: Emulator, run_on: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    """Where no data source of the title takes data, one is created, with a warning; the next run finds it."""
    theirs = emulator.store.create_data_source("Shop").id
    unsupported(emulator, theirs)
    run = run_on(emulator, data_source_title="Shop")
    assert run.sources.find_data_source() is None
    caplog.clear()
    ours, is_ours = run.sources.resolve_data_source()
    assert is_ours
    assert ours.id != theirs
    assert [each.message for each in caplog.records if each.levelname == "WARNING"] == [
        f"No data source with the title 'Shop' takes data through the API ({theirs} \"Shop\": "
        "ingestionSupported is false), so a run creates another one with this title. Set data_source_id or "
        "data_source_title to load elsewhere."
    ]
    emulator.faults.clear()
    unsupported(emulator, theirs)
    caplog.clear()
    found, is_ours = run_on(emulator, data_source_title="Shop").sources.resolve_data_source()
    assert (found.id, is_ours, caplog.records) == (ours.id, False, [])


def test_chosen_source_must_take_data(emulator: Emulator, run_on: Callable[..., Run]) -> None:
    """A data source chosen by id that takes no data is an error, before anything is created in it."""
    source = emulator.store.create_data_source("Shop")
    unsupported(emulator, source.id)
    message = (
        rf'^The data source {source.id} "Shop" does not take data through the API \(ingestionSupported is '
        r"false\)\. Set data_source_id to another one, or remove it to use data_source_title\.$"
    )
    run = run_on(emulator, data_source_id=source.id)
    with pytest.raises(DataSourceError, match=message):
        run.sources.find_data_source()
    with pytest.raises(DataSourceError, match=message):
        run.dataset("s", "S")
    assert not emulator.store.datasets()


@pytest.mark.parametrize("route", ["accounts", "data_sources"])
@pytest.mark.parametrize("fault", [{"status": 403}, {"status": 503}, {"status": 200, "body": "{}"}])
def test_support_need_not_be_known(
    emulator: Emulator, run_on: Callable[..., Run], route: str, fault: dict[str, Any]
) -> None:
    """A data source chosen by id is used where the lists that say whether it takes data can't be read."""
    source = emulator.store.create_data_source("Shop")
    emulator.faults.add(route, **fault)
    assert run_on(emulator, data_source_id=source.id).dataset("s", "S").created


@pytest.mark.parametrize("told", [None, "false", 0, "no", []])
def test_odd_support_is_support(emulator: Emulator, run_on: Callable[..., Run], told: object) -> None:
    """Only a plain `false` keeps a data source from being used."""
    source = emulator.store.create_data_source("Shop")
    sources = [{"id": source.id, "title": "Shop", "ingestionSupported": told}]
    emulator.faults.add("data_sources", status=200, body=json.dumps({"dataSources": sources}))
    assert run_on(emulator, data_source_title="Shop").sources.resolve_data_source() == (
        DataSource(source.id, "Shop", None, None),
        False,
    )


def test_age_is_by_creation_then_id() -> None:
    """The oldest is the same whatever the list's order; what has no time comes last."""

    class Thing(NamedTuple):
        id: int
        title: str
        created: str | None

    late = "2025-10-01T12:00:00.000001Z"
    things = [
        Thing(1, "T", None),
        Thing(2, "T", late),
        Thing(10, "T", "2025-10-01T12:00:00Z"),
        Thing(3, "T", late),
    ]
    assert [each.id for each in with_title(things, "T")] == [10, 2, 3, 1]
    assert [each.id for each in with_title(reversed(things), " T ")] == [10, 2, 3, 1]
    assert with_title(things, "t") == []


@both
def test_racing_runs_agree(
    emulator: Emulator, run_on: Callable[..., Run], caplog: pytest.LogCaptureFixture, version: str
) -> None:
    """When another run creates the same meanwhile, the older one is used, whoever made it."""
    run = run_on(emulator, version=version)
    theirs: list[Any] = []
    run.meanwhile[LISTS[version][0]] = lambda: theirs.append(
        emulator.store.create_data_source("target-databox")
    )
    source, is_ours = run.sources.resolve_data_source()
    assert (source.id, is_ours) == (theirs[0].id, False)
    run.meanwhile[LISTS[version][1]] = lambda: theirs.append(
        emulator.store.create_dataset("S", source.id, ["id"])
    )
    found = run.dataset("s", "S", primary_keys=["id"])
    assert found == ResolvedDataset(
        id_in(version, theirs[1]), "S", created=False, keys=("id",), keys_known=True
    )
    run.meanwhile[f"POST /{version}/datasets"] = lambda: emulator.store.create_dataset("T", source.id, [])
    assert run.dataset("t", "T").created


@both
def test_taken_titles_are_found(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run], version: str
) -> None:
    """Where a title may be taken only once, a lost race finds the winner's."""
    emulator = make_emulator(same_titles="refused")
    run = run_on(emulator, version=version)
    source, _ = run.sources.resolve_data_source()
    run.meanwhile[LISTS[version][1]] = lambda: emulator.store.create_dataset("S", source.id, [])
    assert run.dataset("s", "S", columns=COLUMNS).id == id_in(version, emulator.store.datasets()[0])


@both
@pytest.mark.parametrize("fault", [{"drop": "after"}, {"status": 503, "after_write": True}])
@pytest.mark.parametrize("retry_seconds", [0, 5])
def test_lost_creations_are_found(
    emulator: Emulator, run_on: Callable[..., Run], fault: dict[str, Any], retry_seconds: float, version: str
) -> None:
    """A creation whose answer is lost after it was done is found in the list, not made twice."""
    emulator.faults.add("create_data_source", times=1, **fault)
    emulator.faults.add("create_dataset", times=1, **fault)
    found = run_on(emulator, version=version, retry_seconds=retry_seconds).dataset(
        "s", "S", primary_keys=["id"]
    )
    assert (len(emulator.store.data_sources()), len(emulator.store.datasets())) == (1, 1)
    assert (found.created, found.keys) == (False, ("id",))


@both
@pytest.mark.parametrize("fault", [{"drop": "before"}, {"status": 503}])
def test_undone_creations_are_repeated(
    emulator: Emulator, run_on: Callable[..., Run], fault: dict[str, Any], version: str
) -> None:
    """A creation whose answer is lost before it was done is made after the list doesn't show it."""
    emulator.faults.add("create_data_source", times=2, **fault)
    emulator.faults.add("create_dataset", times=2, **fault)
    assert run_on(emulator, version=version).dataset("s", "S").created
    assert (len(emulator.store.data_sources()), len(emulator.store.datasets())) == (1, 1)
    assert asked(emulator).count("create_dataset") == 3


@both
def test_undone_creations_end(emulator: Emulator, run_on: Callable[..., Run], version: str) -> None:
    """A creation that is never done is an error once the time for retries is over."""
    emulator.faults.add("create_data_source", status=503)
    with pytest.raises(LostAnswerError, match="status 503"):
        run_on(emulator, version=version, retry_seconds=0).sources.resolve_data_source()


def test_lagging_lists_are_not_trusted(emulator: Emulator, run_on: Callable[..., Run]) -> None:
    """What was just created is used although the list doesn't show it, also by the next stream."""
    emulator.faults.add("datasets", status=200, body='{"datasets": []}')
    run = run_on(emulator)
    found = run.dataset("s", "S")
    assert found.created
    with pytest.raises(DatasetError, match="The streams 's' and 't' would both load"):
        run.dataset("t", "S")
    assert len(emulator.store.datasets()) == 1


def test_refused_schema_is_left_out(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    """When the API refuses declared columns, datasets are created without, from then on at once."""
    caplog.set_level(logging.INFO)
    emulator = make_emulator(schema_field="refused")
    run = run_on(emulator)
    assert run.dataset("a", "A", columns=COLUMNS).created
    assert run.dataset("b", "B", columns=COLUMNS).created
    assert asked(emulator).count("create_dataset") == 3
    assert "Column types are no longer declared" in caplog.text


def test_reused_idempotency_keys_end_the_run(emulator: Emulator, run_on: Callable[..., Run]) -> None:
    """A creation whose idempotency key is another request's is no reason to leave the columns out."""
    body = '{"errors": [{"code": "idempotency_key_reused", "message": "Used."}]}'
    emulator.faults.add("create_dataset", status=422, body=body)
    with pytest.raises(IdempotencyError):
        run_on(emulator, version="v2").dataset("a", "A", columns=COLUMNS)
    assert asked(emulator).count("create_dataset") == 1


def test_schema_is_declared_on_demand(make_emulator: EmulatorMaker, run_on: Callable[..., Run]) -> None:
    """Typed columns are declared, unless the setting says otherwise."""
    emulator = make_emulator(log=None)
    emulator.log.keep_bodies = True
    run = run_on(emulator)
    run.dataset("a", "A", columns=COLUMNS)
    run.dataset("b", "B", columns=COLUMNS, declare=False)
    run.dataset("c", "C", columns=[Column("ok", None)])
    bodies = [json.loads(each.body or b"") for each in emulator.log.of("create_dataset")]
    assert [body.get("schema") for body in bodies] == [[{"name": "id", "dataType": "number"}], None, None]


@both
def test_refused_creations_name_the_stream(
    emulator: Emulator, run_on: Callable[..., Run], version: str
) -> None:
    """A dataset that the API won't create is an error with its stream; a key without permission stays one."""
    emulator.faults.add("create_dataset", status=400)
    run = run_on(emulator, version=version)
    with pytest.raises(
        DatasetError, match=r"The dataset 'S' of the stream 's' could not be created in the data source"
    ):
        run.dataset("s", "S", columns=COLUMNS)
    emulator.faults.clear()
    emulator.faults.add("create_dataset", status=403)
    with pytest.raises(KeyRefusedError):
        run.dataset("s", "S", columns=COLUMNS)


@both
def test_refused_sources_name_the_settings(
    emulator: Emulator, run_on: Callable[..., Run], version: str
) -> None:
    """A data source that the API won't create is an error that names title and time zone."""
    with pytest.raises(
        DataSourceError, match=r"with the time zone Mars/Base: .*Check data_source_title and timezone\."
    ):
        run_on(emulator, version=version, timezone="Mars/Base").sources.resolve_data_source()


@both
def test_other_keys_are_an_error(emulator: Emulator, run_on: Callable[..., Run], version: str) -> None:
    """Keys that differ are an error that names both; their order doesn't matter."""
    run_on(emulator, version=version).dataset("s", "S", primary_keys=["a", "b"])
    assert run_on(emulator, version=version).dataset("s", "S", primary_keys=["b", "a"]).keys == ("a", "b")
    with pytest.raises(KeysDifferError) as caught:
        run_on(emulator, version=version).dataset("s", "S")
    error = caught.value
    assert str(error) == (
        f"The dataset {error.dataset_id} of the stream 's' has the primary keys a, b, and the "
        "stream would have no "
        "primary keys. A dataset's keys can't be changed: choose another dataset with "
        "dataset_titles or dataset_ids, or give the stream the dataset's keys with primary_keys "
        '({"s": ["a", "b"]}), keyless_streams or load_method.'
    )
    assert (error.stream, error.wanted, error.found) == ("s", (), ("a", "b"))


@both
def test_hashed_rows_need_another_dataset_or_another_setting(
    emulator: Emulator, run_on: Callable[..., Run], version: str
) -> None:
    """Where a dataset has no keys and rows would be hashed, primary_keys is not advised, which can't help."""
    run_on(emulator, version=version).dataset("s", "S")
    with pytest.raises(KeysDifferError) as caught:
        run_on(emulator, version=version).dataset("s", "S", primary_keys=["_row_hash"])
    assert str(caught.value).endswith(
        "choose another dataset with dataset_titles or dataset_ids, or set keyless_streams to append."
    )


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 404},
        {"status": 405},
        {"status": 403},
        {"status": 500},
        {"status": 200, "body": "<html>"},
        {"status": 200, "body": '{"id": "x"}'},
        {"status": 200, "body": '{"primaryKeys": "id"}'},
        {"status": 200, "body": '{"primaryKeys": [null]}'},
        {"drop": "before"},
    ],
)
@pytest.mark.parametrize("by_id", [False, True])
def test_unknown_keys_are_a_warning(
    emulator: Emulator,
    run_on: Callable[..., Run],
    caplog: pytest.LogCaptureFixture,
    fault: dict[str, Any],
    by_id: bool,
) -> None:
    """Whatever the undocumented route does, the run goes on, with one warning."""
    first = run_on(emulator).dataset("s", "S", primary_keys=["id"])
    emulator.faults.add("dataset", **fault)
    found = run_on(emulator).dataset("s", "S", dataset_id=first.id if by_id else None, primary_keys=["id"])
    assert (found.id, found.keys, found.keys_known) == (first.id, None, False)
    assert [
        each.message for each in caplog.records if each.levelname == "WARNING" and "primary" in each.message
    ] == [
        f"The primary keys of the dataset {first.id} of the stream 's' could not be read. Its rows "
        "keep their order as "
        "if it had keys, but are never sent twice, as if it had none."
    ]
    assert asked(emulator).count("dataset") <= 3


def test_null_keys_are_none(emulator: Emulator, run_on: Callable[..., Run]) -> None:
    """A dataset whose keys are null has none: a stream without keys loads, one with keys is refused."""
    first = run_on(emulator).dataset("s", "S")
    emulator.faults.add("dataset", status=200, body='{"id": "x", "primaryKeys": null}')
    assert run_on(emulator).dataset("s", "S") == ResolvedDataset(
        first.id, "S", created=False, keys=(), keys_known=True
    )
    with pytest.raises(
        KeysDifferError, match="has no primary keys, and the stream would have the primary keys"
    ):
        run_on(emulator).dataset("s", "S", primary_keys=["id"])


@both
def test_wrong_keys_end_everything(emulator: Emulator, run_on: Callable[..., Run], version: str) -> None:
    """A 401 is never taken for anything else, also on the undocumented route."""
    run_on(emulator, version=version).dataset("s", "S")
    emulator.faults.add(DETAIL[version], status=401)
    with pytest.raises(KeyRefusedError):
        run_on(emulator, version=version).dataset("s", "S")


@both
@pytest.mark.parametrize("capitals", [False, True])
def test_streams_share_no_dataset(
    emulator: Emulator, run_on: Callable[..., Run], capitals: bool, version: str
) -> None:
    """Two streams on one dataset are an error that names both; the same stream again is not."""
    run = run_on(emulator, version=version)
    first = run.dataset("s", "S")
    assert run.dataset("s", "S").id == first.id
    with pytest.raises(DatasetError, match="The streams 's' and 't' would both load into"):
        run.dataset("t", "T", dataset_id=first.id.upper() if capitals else first.id)


@both
@pytest.mark.parametrize("title", ["", "  ", "x" * 256])
def test_titles_have_limits(emulator: Emulator, run_on: Callable[..., Run], title: str, version: str) -> None:
    """A title must have 1 to 255 characters after trimming, and the setting is named."""
    with pytest.raises(DatasetError, match=r"must have 1 to 255 characters.*dataset_titles"):
        run_on(emulator, version=version).dataset("s", title)
    with pytest.raises(DataSourceError, match="data_source_title must have 1 to 255 characters"):
        run_on(emulator, version=version, data_source_title=title).sources.resolve_data_source()
    assert not emulator.store.data_sources()


@both
def test_finding_changes_nothing(emulator: Emulator, run_on: Callable[..., Run], version: str) -> None:
    """Looking for a data source creates none."""
    run = run_on(emulator, version=version)
    assert run.sources.find_data_source() is None
    assert not emulator.store.data_sources()
    source = emulator.store.create_data_source("target-databox")
    for settings in ({}, {"data_source_id": source.id}, {"data_source_id": source.id, "account_id": 123456}):
        found = run_on(emulator, version=version, **settings).sources.find_data_source()
        assert found is not None
        assert found.id == source.id
    assert not [route for route in asked(emulator) if route.startswith("create")]


@both
def test_finding_creates_nothing(emulator: Emulator, run_on: Callable[..., Run], version: str) -> None:
    """A dataset that is only looked for is found where a run would find it, and never created."""
    with pytest.raises(DataSourceError, match="so nothing was loaded into it"):
        run_on(emulator, version=version).resources.find_dataset("orders", "Orders")
    made = run_on(emulator, version=version).dataset("orders", "Orders", primary_keys=["id"])
    emulator.log.clear()
    looking = run_on(emulator, version=version).resources
    found = looking.find_dataset("orders", " Orders ", primary_keys=["id"])
    assert (found.id, found.keys, found.created) == (made.id, ("id",), False)
    with pytest.raises(
        DatasetError, match=r"has no dataset: none in the data source .* has the title 'Refunds'"
    ):
        looking.find_dataset("refunds", "Refunds")
    with pytest.raises(KeysDifferError):
        run_on(emulator, version=version).resources.find_dataset("orders", "Orders", primary_keys=["name"])
    by_id = run_on(emulator, version=version).resources
    assert by_id.find_dataset("orders", "x", dataset_id=made.id, primary_keys=["id"]).id == made.id
    assert {each.method for each in emulator.log} == {"GET"}
    assert len(emulator.store.datasets()) == len(emulator.store.data_sources()) == 1
