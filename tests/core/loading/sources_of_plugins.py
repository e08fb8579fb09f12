"""Source texts of plugins that tests install."""

INSTALLED = ["a-slow", "b-good", "bad", "base", "good", "kept", "one", "slow", "two"]
"""The names they are installed under: a host of a test loads these and no first-party plugins."""

GOOD = """
from plughost import Plugin, hookimpl

class P(Plugin):
    seen = []
    stopped = 0

    async def start(self, context):
        self.context = context

    async def stop(self):
        type(self).stopped += 1

    def status(self):
        return {"seen": len(self.seen)}

    @hookimpl
    async def after_auth(self, attempt, principal):
        self.seen.append(principal)
"""

HANGING_START = """
import anyio
from plughost import Plugin

class P(Plugin):
    async def start(self, context):
        await anyio.sleep_forever()
"""

STUBBORN_START = """
import anyio
from plughost import Plugin

class P(Plugin):
    late = []

    async def start(self, context):
        while True:
            try:
                await anyio.sleep(0.01)
            except BaseException as error:
                if isinstance(error, GeneratorExit):
                    raise
                try:
                    context.provide(str, "late")
                except Exception as refused:
                    self.late.append(type(refused).__name__)
"""

FAILING_START = """
from plughost import Plugin

class P(Plugin):
    async def start(self, context):
        context.provide(int, 3)
        raise RuntimeError("no disk")
"""
