"""What somebody may name as a store though it is none, for every plugin that takes stores of others."""

from __future__ import annotations

SOURCE = """
class Half:
    name = "half"
    def __init__(self, setup): ...
    async def find(self, key): ...

def falls(setup):
    raise OSError("no room")

number = 7
"""

REFUSED: dict[str, str] = {
    "no_such_module:Store": "cannot be imported: ModuleNotFoundError",
    "{module}:Nothing": "cannot be imported: AttributeError",
    "{module}:number": "name a class",
    "{module}:falls": "cannot be made: OSError: no room",
}
"""What is named, with the module that has ``SOURCE`` to be filled in, to words that the refusal has."""
