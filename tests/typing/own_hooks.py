"""How an application types the hooks it declared itself; read by mypy, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type, cast

from plughost.hookspecs import Hooks, hookspec

if TYPE_CHECKING:
    from plughost.hookspecs.relay import first


@hookspec(mode="first", timeout=1.0)
def find_price(article: str) -> float | None:
    """Say what an article costs."""


class ShopHooks(Hooks):
    """The catalogue, and the shop's own."""

    if TYPE_CHECKING:
        find_price = first(find_price)


async def own_hooks_are_typed_like_the_catalogues(hooks: Hooks) -> None:
    shop = cast("ShopHooks", hooks)
    assert_type(await shop.find_price(article="tea"), float | None)
