"""A plugin that does not enforce: what it decides and refuses is recorded and counted, and changes nothing."""

import anyio
import anyio.lowlevel
import pytest

from core.calls.ways import PLAIN, SHORT, dispatcher, plugin
from plughost import Host
from plughost.contracts import Abstain, Allow, Deny
from plughost.exceptions import AuthRefused
from plughost.hookspecs import hookimpl, hookspec

pytestmark = pytest.mark.anyio
NO = Deny("not today")


class Specs:
    @hookspec(mode="decide", timeout=0.05)
    async def decides(self, what): ...

    @hookspec(on_error="abort", timeout=0.05)
    async def guards(self, what): ...


def plain(value):
    return lambda what: value


def awaited(value):
    async def decide(what):
        await anyio.lowlevel.checkpoint()
        return value

    return decide


def late(value):
    async def decide(what):
        await anyio.sleep(10)
        return value

    return decide


def raising(value):
    def decide(what):
        raise value

    return decide


def made_of(hook, way, *functions):
    """The second plugin, ``b``, does not enforce."""
    plugins = (plugin(hook, function) for function in functions)
    return dispatcher(Specs, *plugins, way=way, enforces=lambda name: name != "b")


def observed(made):
    return {row.plugin: row.observed for row in made.metrics.snapshot()}


@pytest.mark.parametrize("way", [PLAIN, SHORT])
@pytest.mark.parametrize("form", [plain, awaited])
@pytest.mark.parametrize(
    ("theirs", "its", "result"),
    [(Allow(), NO, Allow()), (Abstain(), Allow(), "denied"), (NO, Allow(), NO)],
    ids=["deny", "allow alone", "allow beside a deny"],
)
async def test_a_verdict_counts_for_nobody_and_is_counted(way, form, theirs, its, result):
    made = made_of("decides", way, plain(theirs), form(its))
    verdict = await made.hooks.decides(what=1)
    assert isinstance(verdict, Deny) if result == "denied" else verdict == result
    assert observed(made) == {"a": 0, "b": 1}


@pytest.mark.parametrize("way", [PLAIN, SHORT])
@pytest.mark.parametrize(
    "fault", [raising(OSError("away")), raising(AuthRefused("no")), plain("yes"), late(NO)]
)
async def test_a_vote_that_fails_is_missing_from_nobody_s_verdict(way, fault):
    made = made_of("decides", way, plain(Allow()), fault)
    assert await made.hooks.decides(what=1) == Allow()


@pytest.mark.parametrize("way", [PLAIN, SHORT])
@pytest.mark.parametrize("fault", [raising(OSError("away")), raising(AuthRefused("no")), late(None)])
async def test_a_refusal_and_a_failure_stop_no_call(way, fault):
    made = made_of("guards", way, plain(1), fault, plain(3))
    assert await made.hooks.guards(what=1) == [1, 3]


@pytest.mark.parametrize("way", [PLAIN, SHORT])
@pytest.mark.parametrize("hook", ["decides", "guards"])
async def test_one_that_enforces_stops_it_as_ever(way, hook):
    made = made_of(hook, way, raising(AuthRefused("no")), plain(Abstain()))
    with pytest.raises(AuthRefused):
        await getattr(made.hooks, hook)(what=1)


async def test_a_report_tells_what_it_would_have_done():
    made = made_of("decides", PLAIN, plain(Allow()), plain(NO))
    _, its = (await made.hooks.decides.report(what=1)).outcomes
    assert its.value.verdict == NO
    assert (its.kind, its.would_have) == ("observed", "denied: 'not today'")
    refusal = AuthRefused("no", log_reason="password=hunter2 was stolen")
    made = made_of("guards", PLAIN, plain(1), raising(refusal))
    first, its = (await made.hooks.guards.report(what=1)).outcomes
    assert (its.kind, its.error.reason) == ("observed", "no")
    assert its.would_have.startswith("refused: password=")
    assert "hunter2" not in its.would_have
    assert (first.kind, first.would_have) == ("value", "")


@pytest.mark.parametrize("way", [PLAIN, SHORT])
@pytest.mark.parametrize(
    "fault", [None, AuthRefused("no"), OSError("away")], ids=["denies", "refuses", "fails"]
)
async def test_a_wrapper_that_does_not_enforce_turns_no_verdict(way, fault):
    def around(what):
        yield
        if fault is not None:
            raise fault
        return NO

    wrapper = type("Wrapping", (), {"decides": staticmethod(hookimpl(wrapper=True)(around))})()
    made = dispatcher(
        Specs, plugin("decides", plain(Allow())), wrapper, way=way, enforces=lambda name: name != "b"
    )
    assert await made.hooks.decides(what=1) == Allow()
    assert observed(made)["b"] == (0 if isinstance(fault, OSError) else 1)


async def test_the_deployer_says_so_in_the_configuration_and_a_reload_follows(tmp_path):
    file = tmp_path / "plughost.toml"

    def write(enforce):
        file.write_text(f'[plugins."Strict.Guard"]\nenforce = {enforce}\nmodule = "strict_guard"\n', "utf-8")

    (tmp_path / "strict_guard.py").write_text(
        "from plughost import hookimpl\nfrom plughost.exceptions import AuthRefused\n"
        "@hookimpl\ndef guards(what):\n    raise AuthRefused('no')\n",
        "utf-8",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        write("false")
        environ = {"PLUGHOST_HOST__DATA_DIR": str(tmp_path / "data"), "PLUGHOST_LOAD_PLUGINS": "Strict.Guard"}
        async with Host("acme", config=file, environ=environ, hookspecs=[Specs], catalogue=()) as host:
            assert not host.report.failed
            assert await host.hooks.guards(what=1) == []
            (row,) = host.metrics.snapshot()
            assert row.observed == 1
            write("true")
            assert "Strict.Guard" in (await host.reload()).reloaded
            with pytest.raises(AuthRefused):
                await host.hooks.guards(what=1)
