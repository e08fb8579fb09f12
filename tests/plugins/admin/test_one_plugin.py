"""The page of one plugin and the endpoints about it: what is told, how settings are changed, and who may."""

from __future__ import annotations

import html
import logging
import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import msgspec
import pytest

from plughost import Host, Plugin, PluginContext, hookimpl
from plughost.contracts import AuthAttempt, Secret
from plughost.core.calls.trace import write_trace
from plughost.exceptions import AuthRefused, HookCallError, PluginStartError
from plughost.http import create_app
from plughost.plugins.admin import AdminPlugin
from serving import Served

pytestmark = pytest.mark.anyio
PAGE = {"Accept": "text/html"}

FILE = """\
# how we run it
[host]
allow = []

[plugins.lamp]  # in the hall
[plugins.lamp.config]
watts = 40  # not too bright
login = "hunter2-login"
"""


class LampConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a lamp.

    Attributes:
        watts: How bright it is.
        room: Where it hangs.
        dimmed: Whether it is dimmed.
        login: Opens the lamp.
        hours: When it is on.
    """

    watts: int = 60
    room: str = "hall"
    dimmed: bool = False
    login: Secret = Secret("")
    hours: list[int] = msgspec.field(default_factory=list)


class Socket(Plugin):
    name = "socket"


class Lamp(Plugin):
    name = "lamp"
    version = "1.2.0"
    requires = ("socket",)
    Config = LampConfig

    async def start(self, context: PluginContext) -> None:
        context.log.warning("switched on", watts=context.config.watts, password="hunter2-log")
        context.every(3600, self.dust, name="dust")

    async def dust(self) -> None: ...

    @hookimpl
    def before_auth(self, attempt: Any) -> Any:
        raise RuntimeError("the bulb is broken")


@pytest.fixture
async def client(tmp_path):
    file = tmp_path / "plughost.toml"
    file.write_text(FILE)
    environ = {
        "PLUGHOST_HOST__DATA_DIR": str(tmp_path / "data"),
        "PLUGHOST_PLUGINS__LAMP__CONFIG__ROOM": "attic",
    }
    async with Host("test", config=file, environ=environ) as host:
        for plugin in (AdminPlugin, Socket, Lamp):
            await host.load_plugin(
                plugin,
                config=None if plugin is AdminPlugin else host.loaded_config.plugin(plugin.name).config,
            )
        app = create_app(host)
        served = Served(host, app)
        try:
            async with served.client(token=served.token("*")) as client:
                client.served, client.file = served, file
                yield client
        finally:
            app.close()  # fmt: skip


async def page_of(client: Any, name: str, query: str = "") -> str:
    return (await client.get(f"/admin/system/plugins/{name}{query}", headers=PAGE)).text


async def test_the_page_tells_all_there_is_about_the_plugin(client):
    text = html.unescape(await page_of(client, "lamp"))
    assert "<h1>lamp</h1>" in text
    for told in (
        "1.2.0",
        "before_auth",
        "dust",
        "switched on",
        "How bright it is.",
        'value="40"',
        'value="attic"',
    ):
        assert told in text, told
    assert re.search(r'<dt>Needs</dt><dd><a class="chip" href="../plugins/socket">', text)
    assert 'href="../plugins/lamp">' in await page_of(client, "socket")
    assert "from environment PLUGHOST_PLUGINS__LAMP__CONFIG__ROOM" in text
    assert "hunter2" not in text


async def test_the_failure_of_a_plugin_is_on_its_page_with_the_traceback(client):
    class Broken(Plugin):
        name = "broken"

        async def start(self, context: PluginContext) -> None:
            raise RuntimeError("no licence found")

    with pytest.raises(PluginStartError):
        await client.served.host.load_plugin(Broken)
    text = await page_of(client, "broken")
    assert "no licence found" in text
    assert "Traceback" in text or "RuntimeError" in text


async def test_the_last_failures_are_on_the_page_the_newest_first_with_their_tracebacks(client):
    host, said = client.served.host, iter(range(10))

    class Broken(Plugin):
        name = "broken"

        async def start(self, context: PluginContext) -> None:
            raise RuntimeError(f"failure number {next(said)}")

    for _ in range(7):
        with pytest.raises(PluginStartError):
            await host.load_plugin(Broken)
    told = (await client.get("/admin/api/plugins/broken")).json()
    assert "failure number 6" in told["error"]["message"]
    text = await page_of(client, "broken")
    assert re.search(r'<div class="advice fail">.*failure number 6', text)
    # what stands at the top is not said again
    said = re.findall(r"in start(?:: .*?(failure number \d).*)?</p>", text)
    assert said == ["", *(f"failure number {n}" for n in (5, 4, 3, 2))]
    newest = text.partition("<details open>")[2].partition("</details>")[0]
    assert "RuntimeError: failure number 6" in newest
    assert text.count("<summary>Traceback") >= 5


async def test_a_plugin_that_failed_has_its_form_and_a_change_starts_it(client):
    host, file = client.served.host, client.file

    class Picky(Lamp):
        name = "picky"
        requires = ()

        async def start(self, context: PluginContext) -> None:
            if context.config.watts > 50:
                raise RuntimeError("too bright")

    file.write_text(FILE + "[plugins.picky.config]\nwatts = 90\n")
    await host.reload()
    with pytest.raises(PluginStartError):
        await host.load_plugin(Picky, config=host.loaded_config.plugin("picky").config)
    assert 'value="90"' in await page_of(client, "picky")
    refused = await client.put("/admin/api/plugins/picky/config?preview=1", json={"config": {"watts": "x"}})
    assert refused.status_code == 422
    change = {"config": {"watts": 10}, "reload": True}
    answer = await client.put("/admin/api/plugins/picky/config", json=change)
    assert answer.is_success, answer.text
    assert host.plugin("picky").state == "ready"
    assert "watts = 10" in file.read_text()


async def test_a_plugin_that_was_never_imported_has_a_form_for_what_is_in_the_file(client):
    client.file.write_text(FILE + '[plugins.off]\nenabled = false\nmodule = "nowhere"\n[plugins.off.config]\n'
                           'size = 3\nname = "x"\npassword = "hunter2"\n')  # fmt: skip
    await client.served.host.reload()
    text = await page_of(client, "off")
    assert "was not imported" in text
    assert 'name="set.size" value="3"' in text
    assert "hunter2" not in text
    answer = await client.put("/admin/api/plugins/off/config", json={"config": {"size": 4}})
    assert answer.json()["lines"] == ["- size = 3", "+ size = 4"]
    assert "size = 4" in client.file.read_text()


@pytest.mark.parametrize("query", ["", "?preview=1"])
async def test_the_plugin_s_own_check_is_asked_before_a_change_is_shown_or_written(client, query):
    class Checked(Lamp):
        name = "checked"
        requires = ()

        async def check_config(self, config: LampConfig) -> None:
            if config.watts % 5:
                raise ValueError("watts come in fives")

    client.file.write_text(FILE + "[plugins.checked.config]\nwatts = 5\n")
    await client.served.host.reload()
    await client.served.host.load_plugin(Checked, config={"watts": 5})
    answer = await client.put(f"/admin/api/plugins/checked/config{query}", json={"config": {"watts": 7}})
    assert answer.status_code == 422
    assert "watts come in fives" in answer.json()["detail"]
    assert "watts = 5" in client.file.read_text()
    assert (
        await client.put(f"/admin/api/plugins/checked/config{query}", json={"config": {"watts": 10}})
    ).is_success


async def test_a_plugin_that_the_application_registered_on_the_manager_has_a_page_too(client):
    class Bulb:
        @hookimpl
        def before_auth(self, attempt: Any) -> Any: ...

    client.served.host.pluggy.register(Bulb(), "bulb")
    text = html.unescape(await page_of(client, "bulb"))
    assert "<h1>bulb</h1>" in text
    assert "pluggy" in text
    assert "before_auth" in text
    assert 'href="plugins/bulb"' in (await client.get("/admin/system/plugins", headers=PAGE)).text
    answer = await client.post("/admin/api/plugins/bulb/unload")
    assert answer.status_code == 200, answer.text
    assert "stopped" in await page_of(client, "bulb")


class Fence(Plugin):
    name = "fence"

    @hookimpl
    def before_auth(self, attempt: AuthAttempt) -> None:
        raise AuthRefused("not from <FR>")


@pytest.fixture
async def watched(client):
    """A client of a host with a fence that does not enforce, and no lamp."""
    host = client.served.host
    client.file.write_text(FILE + "[plugins.fence]\nenforce = false\n")
    await host.reload()
    await host.load_plugin(Fence)
    await host.unload_plugin("lamp")
    return client


async def test_what_a_plugin_that_does_not_enforce_would_have_decided_is_on_its_page(watched):
    client, host = watched, watched.served.host
    assert "It decided and refused nothing yet." in await page_of(client, "fence")
    await host.hooks.before_auth(attempt=AuthAttempt(username="ada", credentials="hunter2"))
    text = await page_of(client, "fence")
    assert "<small>not enforced</small>" in text
    assert re.search(r"before_auth</span> 1 case, the first ", text)
    assert "refused: not from &lt;FR&gt;" in text
    assert "hunter2" not in text
    assert 'id="observed"' not in await page_of(client, "socket")
    listed = (await client.get("/admin/system/plugins", headers=PAGE)).text
    assert re.findall(r'<strong>(\w+)</strong>.*<span class="badge">not enforced</span>', listed) == ["fence"]


async def test_there_is_no_page_for_a_plugin_that_is_not_there(client):
    answer = await client.get("/admin/system/plugins/nobody", headers=PAGE)
    assert answer.status_code == 404
    for end in ("config", "logs"):
        assert (await client.get(f"/admin/api/plugins/nobody/{end}")).status_code == 404


async def test_settings_are_told_with_origins_and_schema_and_without_secrets(client):
    answer = await client.get("/admin/api/plugins/lamp/config")
    told = answer.json()
    origins = {row["path"].rpartition(".")[2]: row["origin"] for row in told["settings"]}
    assert "environment" in origins["room"]
    assert told["values"]["watts"] == 40
    assert "$defs" in told["schema"]
    assert "hunter2" not in answer.text


async def test_a_preview_tells_the_change_and_writes_nothing(client):
    answer = await client.put("/admin/api/plugins/lamp/config?preview=1", json={"config": {"watts": 75}})
    assert answer.json()["lines"] == ["- watts = 40", "+ watts = 75"]
    assert not answer.json()["written"]
    assert client.file.read_text() == FILE


async def test_a_change_is_written_without_touching_anything_else_and_holds_after_the_reload(client):
    change = {"config": {"watts": 75, "hours": [18, 19]}, "reload": True}
    answer = await client.put("/admin/api/plugins/lamp/config", json=change)
    assert answer.json()["written"], answer.text
    text = client.file.read_text()
    assert "watts = 75  # not too bright" in text
    assert text.replace("watts = 75", "watts = 40").replace("hours = [18, 19]\n", "") == FILE
    assert client.served.host.plugin("lamp").generation == 2
    assert (await client.get("/admin/api/plugins/lamp/config")).json()["values"]["watts"] == 75
    logged = (await client.get("/admin/api/plugins/lamp/logs")).json()["lines"]
    assert any("watts=75" in line["fields"] for line in logged)


async def test_null_takes_a_setting_out_so_that_its_default_holds(client):
    assert (await client.put("/admin/api/plugins/lamp/config", json={"config": {"watts": None}})).is_success
    assert "watts" not in client.file.read_text()


@pytest.mark.parametrize("config", [{"watts": "bright"}, {"wats": 3}, {"hours": 3}])
async def test_what_the_plugin_would_not_accept_is_refused_and_not_written(client, config):
    for query in ("", "?preview=1"):
        answer = await client.put(f"/admin/api/plugins/lamp/config{query}", json={"config": config})
        assert answer.status_code == 422
        assert next(iter(config)) in answer.json()["detail"]
    assert client.file.read_text() == FILE


async def test_a_secret_is_changed_without_being_shown(client):
    answer = await client.put("/admin/api/plugins/lamp/config", json={"config": {"login": "hunter3-new"}})
    assert "hunter" not in answer.text
    assert "hunter3-new" in client.file.read_text()
    shown = await page_of(client, "lamp") + (await client.get("/admin/api/audit")).text
    assert "hunter" not in shown


async def test_changing_settings_needs_a_scope_of_its_own(client):
    served = client.served
    async with served.client(token=served.token("plugins:read", "plugins:write")) as operator:
        answer = await operator.put("/admin/api/plugins/lamp/config", json={"config": {"watts": 1}})
        assert answer.status_code == 403
        assert "Preview the change" not in await page_of(operator, "lamp")
    assert client.file.read_text() == FILE


async def test_the_form_previews_and_then_saves_what_was_previewed_and_no_page_holds_a_secret(client):
    fields = {
        "set.watts": "75",
        "set.room": "attic",
        "set.dimmed": "yes",
        "set.login": "hunter3-new",
        "set.hours": "",
    }
    answer = await client.post("/admin/system/plugins/lamp/preview", data=fields)
    shown = await client.get(urljoin(str(answer.url), answer.headers["location"]), headers=PAGE)
    lines = re.findall(r'<span class="(?:plus|minus)">([^<]*)', html.unescape(shown.text))
    assert [line for line in lines if "login" not in line] == [
        "- watts = 40",
        "+ watts = 75",
        "+ dimmed = true",
    ]
    assert "hunter" not in shown.text
    assert client.file.read_text() == FILE
    draft = re.search(r'name="draft" value="([^"]+)"', shown.text)
    assert draft is not None
    saved = await client.post("/admin/system/plugins/lamp/configure", data={"draft": draft[1], "reload": "1"})
    said = await client.get(urljoin(str(saved.url), saved.headers["location"]), headers=PAGE)
    assert "lamp was reloaded with it" in said.text
    assert "watts = 75" in client.file.read_text()
    again = await client.post("/admin/system/plugins/lamp/configure", data={"draft": draft[1]})
    assert (
        "too old" in (await client.get(urljoin(str(again.url), again.headers["location"]), headers=PAGE)).text
    )


async def test_somebody_elses_preview_cannot_be_saved(client):
    answer = await client.post("/admin/system/plugins/lamp/preview", data={"set.watts": "75"})
    draft = re.search(r"draft=([\w-]+)", answer.headers["location"])
    assert draft is not None
    secret, _ = client.served.app.runtime.tokens.create(
        "other", ["plugins:read", "plugins:configure"], lifetime=60
    )
    async with client.served.client(token=secret) as other:
        await other.post("/admin/system/plugins/lamp/configure", data={"draft": draft[1]})
    assert client.file.read_text() == FILE


async def test_the_log_of_a_plugin_is_kept_without_secrets_and_its_level_can_be_set(client):
    told = await client.get("/admin/api/plugins/lamp/logs?limit=1")
    assert [(line["level"], line["message"]) for line in told.json()["lines"]] == [("warning", "switched on")]
    assert "hunter2" not in told.text
    answer = await client.post("/admin/api/plugins/lamp/log-level", json={"level": "debug"})
    assert answer.json()["confirmed"]
    assert logging.getLogger("plughost.plugin.lamp").level == logging.DEBUG
    assert (await client.get("/admin/api/plugins/lamp/logs")).json()["level"] == "debug"
    assert (await client.post("/admin/api/plugins/lamp/log-level", json={"level": "loud"})).status_code == 422


async def test_an_action_on_the_page_of_a_plugin_leads_back_to_it(client):
    answer = await client.post("/admin/system/plugins/reload?page=1", data={"name": "lamp"})
    assert re.match(r"\.\./plugins/lamp\?done=", answer.headers["location"])


async def test_the_page_grades_the_plugin_when_it_is_asked_to(client):
    assert "?grade=1" in await page_of(client, "lamp")
    assert "<dt>Grade</dt><dd>none<br>" in await page_of(client, "lamp", "?grade=1")


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("q=lam", {"lamp"}),
        ("q=BEFORE_auth+ready", {"lamp"}),
        ("state=failed", set()),
        ("q=socket", {"socket"}),
    ],
)
async def test_the_list_of_plugins_can_be_searched_without_javascript(client, query, left):
    text = (await client.get(f"/admin/system/plugins?{query}", headers=PAGE)).text
    rows = re.findall(r'<tr id="plugin-\S+" data-text="(\S+) [^"]*" data-state="\w+"( hidden)?>', text)
    assert {name for name, hidden in rows if not hidden} == left


async def test_hook_calls_are_traced_while_somebody_wants_it_and_nothing_secret_is_in_it(client):
    host = client.served.host
    assert (await client.get("/admin/api/trace")).json()["calls"] == []
    await client.post("/admin/api/trace/start")
    for _ in range(100):  # a hot plan has a short way, which must not go past the trace
        with pytest.raises(HookCallError):
            await host.hooks.before_auth(attempt="password=hunter2-call")
    traced = await client.get("/admin/api/trace")
    call = next(one for one in traced.json()["calls"] if one["hook"] == "before_auth")
    assert (call["outcomes"][0]["plugin"], call["outcomes"][0]["kind"]) == ("lamp", "error")
    assert "the bulb is broken" in call["outcomes"][0]["error"]
    assert "hunter2" not in traced.text
    assert "the bulb is broken" in (await client.get("/admin/system/trace", headers=PAGE)).text
    await client.post("/admin/api/trace/stop")
    before = (await client.get("/admin/api/trace")).json()["calls"]
    with pytest.raises(HookCallError):
        await host.hooks.before_auth(attempt="x")
    assert (await client.get("/admin/api/trace")).json()["calls"] == before


async def test_a_hook_that_is_called_all_the_time_drives_no_other_out_of_the_trace(watched):
    host = watched.served.host
    await watched.post("/admin/api/trace/start")
    await host.hooks.before_auth(attempt=AuthAttempt(username="ada", credentials={"x": "hunter2"}))
    for _ in range(150):
        await host.health()
    calls = (await watched.get("/admin/api/trace")).json()["calls"]
    hooks = [call["hook"] for call in calls]
    assert hooks.count("before_auth") == 1
    assert hooks.count("health_check") == 10
    assert hooks.index("health_check") < hooks.index("before_auth")


async def test_the_trace_tells_what_a_plugin_that_does_not_enforce_would_have_done(watched, caplog):
    host = watched.served.host
    await watched.post("/admin/api/trace/start")
    attempt = AuthAttempt(username="ada", credentials="hunter2")
    report = await host.hooks.before_auth.report(attempt=attempt)
    with caplog.at_level(logging.INFO, "plughost.trace"):
        write_trace(report)
    (line,) = (record.outcomes for record in caplog.records if record.name == "plughost.trace")
    assert re.search("fence observed in .* ms: would have refused: not from <FR>", line)
    page = (await watched.get("/admin/system/trace", headers=PAGE)).text
    assert "not enforced" in page
    assert "would have refused: not from &lt;FR&gt;" in page
    assert "hunter2" not in page + caplog.text


async def test_a_variable_writes_every_hook_call_into_the_log(tmp_path: Path, caplog):
    environ = {"PLUGHOST_TRACE_HOOKS": "1"}
    config = {"host": {"data_dir": str(tmp_path), "allow": []}}
    async with Host("test", config=config, environ=environ) as host:
        await host.load_plugin(Socket)
        await host.load_plugin(Lamp)
        with pytest.raises(HookCallError):
            await host.hooks.before_auth(attempt="password=hunter2-call")
    lines = [
        record
        for record in caplog.records
        if record.name == "plughost.trace" and record.hook == "before_auth"
    ]
    assert len(lines) == 1
    assert "lamp error in" in lines[0].outcomes
    assert "hunter2" not in caplog.text.replace("hunter2-log", "")


async def test_without_a_configuration_file_settings_are_shown_and_cannot_be_changed(serve):
    async with (
        serve(AdminPlugin, Socket, Lamp) as served,
        served.client(token=served.token("*")) as client,
    ):
        assert "There is no configuration file" in await page_of(client, "lamp")
        answer = await client.put("/admin/api/plugins/lamp/config", json={"config": {"watts": 1}})
        assert answer.status_code == 409
