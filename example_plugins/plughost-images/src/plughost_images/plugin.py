"""The plugin: its routes, its panel, its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from msgspec import Meta, Struct

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import AdminPanel, DiskCache, GuardedRoute, HealthCheck, PanelAction, counted
from plughost.exceptions import ServiceError
from plughost_images import hookspecs
from plughost_images.converting import Format, placeholder
from plughost_images.pictures import WIDTHS, Picture, Pictures
from plughost_images.protocols import PictureMissingError, PictureRequest

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_YEAR: Final = 31_536_000
_FORMATS: Final[Mapping[str, Format]] = {"jpeg": "jpeg", "webp": "webp", "avif": "avif"}


class ImagesConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.images.config]``.

    Attributes:
        workers: Pictures that are converted at once, each by a core.
        warning_header: Whether old pictures say so in ``Warning``, too, which is obsolete since RFC 9111.
    """

    workers: Annotated[int, Meta(ge=1, le=32)] = 2
    warning_header: bool = False


class ImagesPlugin(Plugin):
    """Serves pictures; other plugins say by the hook ``image_source`` where they come from."""

    name = "images"
    version = "1.0.0"
    after = ("diskcache",)
    Config: ClassVar[type[Any] | None] = ImagesConfig

    async def start(self, context: PluginContext) -> None:
        """Declare the hook."""
        context.register_hookspecs(hookspecs)
        self._context = context

        def disk() -> DiskCache:
            return context.use(DiskCache)  # asked each time: it comes and goes with its plugin

        self._disk = disk

        async def find(source: str) -> object:
            return await context.hooks.image_source(name=source)

        self._pictures = Pictures(find, disk, context.config.workers, context.log)

    def status(self) -> Mapping[str, object]:
        """How much is on the disk, and how often a picture was refused."""
        return self._figures()

    def _figures(self) -> dict[str, object]:
        counted: dict[str, object] = {"refused": self._pictures.refused, "failed": self._pictures.failed}
        try:
            stats = self._disk().stats()
        except ServiceError:
            return counted | {"disk": "not there: pictures are made anew each time"}
        kept = {"bytes": stats.bytes, "of_bytes": stats.max_bytes, "variants": stats.entries}
        return counted | kept | {"hits": stats.hits, "stale": stats.stale, "misses": stats.misses}

    @hookimpl
    def health_check(self, app_name: str | None) -> HealthCheck | None:
        """Tell the figures."""
        return None if app_name is not None else HealthCheck(name="images", figures=self._figures())

    @hookimpl
    def register_routes(self) -> Sequence[GuardedRoute]:
        """Add the routes of a picture."""
        from plughost.http import SIGNED_IN, Route, scope

        path = "/api/images/{source}/{ref:path}"
        return [
            Route(
                path, self._show, methods=["GET"], guard=SIGNED_IN, name="image",
                summary="A picture: `w` one of the eight widths, `f` auto, jpeg, webp or avif.",
            ),
            Route(
                path, self._remove, methods=["DELETE"], guard=scope("images:write"), name="image-forget",
                summary="Forget a picture in all its sizes.",
            ),
        ]  # fmt: skip

    @hookimpl
    def register_admin_panels(self) -> Sequence[AdminPanel]:
        """Add the tab."""
        purge = PanelAction(
            name="purge", title="Forget all pictures", run=self._purge, scope="images:write",
            confirm="Forget all pictures? Each is fetched again when somebody looks.",
        )  # fmt: skip
        return [
            AdminPanel(
                name="pictures", title="Pictures", scope="images:read", data=self._figures, actions=(purge,)
            )
        ]

    async def _purge(self, _fields: Mapping[str, str]) -> str:
        try:
            return f"{counted(await self._pictures.forget_all(), 'picture')} forgotten."
        except ServiceError:
            return "No picture is kept: the disk cache is away."

    async def _show(self, request: Request) -> Response:
        from starlette.responses import Response

        from plughost.http import Problem

        wanted, kind = _wanted(request), _format(request)
        source = request.path_params["source"]
        try:
            origin = await self._pictures.origin(source, wanted.ref)
            picture = await self._pictures.show(source, origin, wanted, kind)
        except PictureMissingError:
            raise Problem(404, "There is no such picture.", code="picture_missing") from None
        if picture is None:
            headers = {"Cache-Control": "no-store", "ETag": '"placeholder"', "Vary": "Accept"}
            return Response(placeholder(), 200, headers, "image/png")
        response = _answer(request, picture, immutable=origin.immutable)
        if self._context.config.warning_header and picture.stale:
            response.headers["Warning"] = '110 - "Response is Stale"'
        return response

    async def _remove(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        from plughost.http import Problem

        source = request.path_params["source"]
        wanted = PictureRequest(ref=request.path_params["ref"], width=WIDTHS[0])
        try:
            origin = await self._pictures.origin(source, wanted.ref)
            removed = await self._pictures.forget(source, origin, wanted)
        except PictureMissingError:
            raise Problem(404, "There is no such picture.", code="picture_missing") from None
        except ServiceError:
            raise Problem(503, "No picture is kept: the disk cache is away.", code="disk_away") from None
        return JSONResponse({"removed": removed})


def _wanted(request: Request) -> PictureRequest:
    from plughost.http import Problem, identity_of

    width = request.query_params.get("w", "342")
    if width not in {str(one) for one in WIDTHS}:
        known = ", ".join(map(str, WIDTHS))
        raise Problem(422, f"`w` is one of {known}.", code="width_unknown")
    identity = identity_of(request)
    user = identity.id if identity.kind == "session" else ""
    return PictureRequest(ref=request.path_params["ref"], width=int(width), user_id=user)


def _format(request: Request) -> Format:
    from plughost.http import Problem

    asked = request.query_params.get("f", "auto")
    if asked == "auto":
        return "webp" if "image/webp" in request.headers.get("accept", "") else "jpeg"
    if asked in _FORMATS:
        return _FORMATS[asked]
    raise Problem(422, "`f` is auto, jpeg, webp or avif.", code="format_unknown")


def _answer(request: Request, picture: Picture, *, immutable: bool) -> Response:
    from starlette.responses import Response

    etag = f'"{picture.etag}"'
    keep = f"private, max-age={_YEAR}, immutable" if immutable else "private, max-age=3600"
    headers = {
        "Cache-Control": "private, no-cache" if picture.stale else keep,
        "ETag": etag,
        "Vary": "Accept, Cookie",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
    } | ({"Cache-Status": "plughost; hit; detail=stale"} if picture.stale else {})
    if etag in (request.headers.get("if-none-match") or ""):
        return Response(None, 304, headers)
    return Response(picture.body, 200, headers, picture.content_type)
