"""Whatever a program does with its manager, in whatever order, means on a host what it means on bare pluggy.

Programs are drawn: plugins of all kinds come and go, are blocked and called, and specs come before and after them. What
each step returned, raised and called is compared, but for the words of errors that a host says in its own.
"""

import random
import re
import warnings

import pluggy
import pytest

from plughost import Host

spec, impl = pluggy.HookspecMarker("acme"), pluggy.HookimplMarker("acme")
HOOKS = {"collected": ("a", "b"), "chosen": ("a",), "later": ("a",), "told": ("a",)}
BODIES = {
    "answers": "return ({tag!r}, {arguments})",
    "is silent": "return None",
    "fails": "raise ValueError({tag!r})",
    "wraps": "try:\n  left = yield\n except ValueError as error:\n  left = str(error)\n return [left]",
    "wraps and answers": "yield\n return {tag!r}",
    "wraps as of old": "outcome = yield\n heard.append(outcome.exception is None)",
    "wraps as of old and forces": "outcome = yield\n outcome.force_result({tag!r})",
    "wraps as of old and fails": "outcome = yield\n outcome.force_exception(ValueError({tag!r}))",
}


class Early:
    @spec
    def collected(self, a, b): ...

    @spec(firstresult=True)
    def chosen(self, a): ...


class Late:
    @spec
    def later(self, a): ...

    @spec(historic=True)
    def told(self, a): ...


def drawn_plugin(draw, number, heard):
    """Return a plugin that implements some hooks in some way; one in twenty asks for what no spec names."""
    made = {}
    for hook, known in HOOKS.items():
        kinds = [kind for kind in BODIES if hook != "told" or not kind.startswith("wraps")]
        kind, tag = draw.choice(kinds), f"{number}.{hook}"
        options = {draw.choice(["tryfirst", "trylast", "optionalhook"]): draw.random() < 0.5}
        if kind.startswith("wraps"):
            options["hookwrapper" if "old" in kind else "wrapper"] = True
        arguments = [name for name in known if draw.random() < 0.7] + ["nowhere"] * (draw.random() < 0.05)
        body = BODIES[kind].format(tag=tag, arguments=", ".join([*arguments, ""]))
        source = f"def {hook}({', '.join(['self', *arguments])}):\n heard.append({tag!r})\n {body}\n"
        space = {"heard": heard}
        exec(source, space)  # noqa: S102  it is ours
        if draw.random() < 0.5:
            name = f"named_{hook}" if draw.random() < 0.1 else hook
            made[name] = impl(**options, specname=hook)(space[hook])
    return type(f"Plugin{number}", (), made)()


def drawn_step(draw, manager, plugins, callers):
    """Return what one step does; None where bare pluggy has no hook to ask."""
    number, hook = draw.randrange(len(plugins)), draw.choice([*HOOKS])
    plugin, name = plugins[number], f"plugin{number}"
    kind = draw.choice([Early, Late])
    given = {each: number for each in HOOKS[hook] if draw.random() < 0.97}
    steps = {
        "register": lambda: manager.register(plugin, name),
        "unregister": lambda: manager.unregister(name=name) is plugin,
        "block": lambda: manager.set_blocked(name),
        "unblock": lambda: manager.unblock(name),
        "declare": lambda: manager.add_hookspecs(type("Specs", (kind,), {})),
    }
    asking = {
        "call": lambda: getattr(manager.hook, hook)(**given),
        "call often": lambda: [getattr(manager.hook, hook)(**given) for _ in range(70)][-1],
        "tell": lambda: manager.hook.told.call_historic(kwargs=given),
        "call with more": lambda: getattr(manager.hook, hook).call_extra([lambda a: a], given),
        "call without one": lambda: manager.subset_hook_caller(hook, [plugin])(**given),
        "list": lambda: [each.plugin_name for each in getattr(manager.hook, hook).get_hookimpls()],
    }
    chosen = draw.choice([*steps, "register", "register", *asking, "call", "call"])
    caller = callers.get("told" if chosen == "tell" else hook)
    if chosen in asking and (caller is None or not caller.has_spec()):
        return None
    return chosen, (steps | asking)[chosen]


def carried_out(seed, manager, callers):
    """Carry out the program of this seed; return what came of each step."""
    draw, heard, came = random.Random(seed), [], []  # noqa: S311  it shall be the same each time
    plugins = [drawn_plugin(draw, number, heard) for number in range(6)]
    for _ in range(40):
        step = drawn_step(draw, manager, plugins, callers)
        if step is None:
            continue
        heard.clear()
        try:
            returned = repr(step[1]())
        except AssertionError:
            returned = "a historic hook that is called as others are"
        except Exception as error:
            returned = f"{type(error).__name__}: {str(error).partition('=')[0]}"
        came.append((step[0], re.sub("0x[0-9a-f]+", "", returned), [*heard]))
    return came


@pytest.mark.parametrize("through", ["pluggy", "hooks"])
@pytest.mark.parametrize("seeds", [range(first, first + 20) for first in range(20, 100, 20)], ids=str)
def test_a_program_means_on_a_host_what_it_means_on_pluggy(seeds, through):
    for seed in seeds:
        bare = pluggy.PluginManager("acme")
        host = Host.for_pluggy("acme", (), config={}, environ={})
        manager = host.pluggy
        callers = vars(manager.hook)
        if through == "hooks":
            manager.hook = host.sync_hooks
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pluggy's, of arguments that a call leaves out
            moved, own = carried_out(seed, manager, callers), carried_out(seed, bare, vars(bare.hook))
        assert moved == own, seed
