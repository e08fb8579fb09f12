"""The session of one request: a mapping that is loaded by the first look and saved when it changed."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

from plughost.contracts import RequestSession, Scope, Seconds, Send
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.sessions.codec import about_of
from plughost.plugins.sessions.desk import Desk
from plughost.plugins.sessions.loaded import Loaded
from plughost.plugins.sessions.problems import send_unavailable

OPEN: Final = 0
STREAMING: Final = 1
DONE: Final = 2
_LAST_WORDS = ("http.response.body", "http.response.pathsend", "http.response.zerocopysend")


class LazySession(RequestSession):
    """What a handler finds as ``scope["session"]``.

    It is made for every request, so making it does nothing: what there is to know is in ``Loaded``, which the
    first look brings.

    Args:
        desk: What all requests share.
        scope: The request.
        send: Where the response goes.
    """

    __slots__ = ("_desk", "_failure", "_loaded", "_phase", "_refused", "_scope", "_send")

    def __init__(self, desk: Desk, scope: Scope, send: Send) -> None:
        self._desk = desk
        self._scope = scope
        self._send = send
        self._loaded: Loaded | None = None
        self._phase = OPEN
        self._failure: StoreUnavailableError | None = None
        self._refused = False

    def __repr__(self) -> str:
        return f"<session {self._loaded.handle or 'new'}>" if self._loaded else "<session, not loaded>"

    # loading

    async def load(self) -> RequestSession:
        """Load it if that did not happen yet; returns itself."""
        if self._loaded is None:
            self._check_may_load()
            try:
                loaded = await self._desk.load(self._scope)
            except StoreUnavailableError:
                self._refused = True
                raise
            if self._loaded is None:  # of several who load it at once, all have what the first one found
                self._loaded = loaded
        return self

    async def preload(self) -> None:
        """Load it before the handler asks; a failure waits until it does."""
        try:
            self._loaded = await self._desk.load(self._scope)
        except StoreUnavailableError as error:
            self._failure = error
        else:
            self._loaded.looked_at = False

    @property
    def _state(self) -> Loaded:
        if self._loaded is None:
            self._check_may_load()
            try:
                self._loaded = self._desk.load_now(self._scope)
            except StoreUnavailableError:
                self._refused = True
                raise
        elif not self._loaded.looked_at:
            self._check_may_load()
            self._loaded.looked_at = True
        return self._loaded

    def _check_may_load(self) -> None:
        if self._failure is not None:
            self._refused = True
            raise self._failure
        if self._phase == STREAMING:
            raise RuntimeError(
                "the session is looked at for the first time after the response began: its headers could not say"
                " any more that it depends on the cookie. Look at it before, or await session.load() first"
            )

    # the mapping

    def __getitem__(self, name: str) -> Any:
        return self._state.get(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._to_change().set(name, value)

    def __delitem__(self, name: str) -> None:
        self._to_change().delete(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._state.names())

    def __len__(self) -> int:
        return len(self._state.names())

    def __contains__(self, name: object) -> bool:
        return name in self._state.names()

    def clear(self) -> None:
        """Remove everything, and the session with it: what is put in afterwards begins another."""
        self._to_change().abandon()

    def _to_change(self) -> Loaded:
        state = self._state
        if self._phase == DONE or (self._phase == STREAMING and state.row is None):
            raise RuntimeError(
                "the session cannot be changed any more: the response has begun. Change it before, or use the"
                " session manager"
            )
        return state

    # who it is

    @property
    def user_id(self) -> str | None:
        """Whose it is; None when nobody is signed in."""
        row = self._state.row
        if row is None or row.subject is None:
            return None
        self._state.about()  # opens only where the session is that user's
        return row.subject

    async def is_alive(self) -> bool:
        """Whether the session that was loaded goes on, as the store knows."""
        row = self._loaded.row if self._loaded is not None else None
        with self._asking_the_store():
            return row is not None and await self._desk.records.goes_on(row)

    @property
    def username(self) -> str:
        """The name to show; empty when nobody is signed in."""
        return self._state.about().username

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the roles held."""
        return self._state.about().roles

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What was noted when the session was made."""
        return MappingProxyType(self._state.about().metadata)

    @property
    def handle(self) -> str:
        """Public name of the session; empty when there is none yet."""
        return self._state.handle

    @property
    def expires_at(self) -> float | None:
        """When it ends if it is not used again; None when there is none yet."""
        row = self._state.row
        return row.expires_at if row is not None else None

    @property
    def csrf_token(self) -> str:
        """Token bound to this session; empty when there is none yet."""
        row = self._state.row
        return self._desk.csrf_token(row) if row is not None else ""

    # its life

    async def sign_in(
        self,
        user_id: str,
        *,
        username: str = "",
        roles: Sequence[str] = (),
        ttl: Seconds | None = None,
        absolute: Seconds | None = None,
    ) -> None:
        """Make it the user's, under a new id."""
        await self.load()
        self._check_new_id()
        who = about_of(username, roles)
        with self._asking_the_store():
            await self._desk.sign_in(self._scope, self._state, user_id, who, ttl, absolute)

    async def sign_out(self) -> None:
        """End it for good."""
        await self.load()
        with self._asking_the_store():
            await self._desk.sign_out(self._state)

    async def rotate(self) -> None:
        """Give it a new id without changing who it is."""
        await self.load()
        self._check_new_id()
        with self._asking_the_store():
            await self._state.save(self._desk.records)
            await self._desk.rotate(self._state)

    async def save(self) -> None:
        """Save what changed so far."""
        await self.load()
        state = self._state
        if state.row is None:
            raise RuntimeError("there is no session yet to save to: it begins with the response")
        with self._asking_the_store():
            await state.save(self._desk.records)

    def _check_new_id(self) -> None:
        if self._phase != OPEN:
            raise RuntimeError("the response has begun: its headers cannot carry a new session id any more")

    @contextmanager
    def _asking_the_store(self) -> Iterator[None]:
        """Note that the store is away: other stores that a handler uses say so by the same error."""
        try:
            yield
        except StoreUnavailableError:
            self._refused = True
            raise

    # for the middleware

    @property
    def refused(self) -> bool:
        """Whether the handler was refused its session because the store is away."""
        return self._refused

    @property
    def looked_at(self) -> bool:
        """Whether the handler looked at it."""
        return self._loaded is not None and self._loaded.looked_at

    @property
    def begun(self) -> bool:
        """Whether the response has begun."""
        return self._phase != OPEN

    def let_go(self) -> None:
        """Refer no more to what refers to it: each request would else be garbage that only a collection finds.

        It can still be looked at, by what a handler left running.
        """
        scope = self._scope = dict(self._scope)
        scope.pop("session", None)
        self._send = _swallow

    def send(self, message: Any) -> Awaitable[None]:
        """Stand between the application and the server: save before the first byte.

        A plain function, which asks the desk nothing where nobody looked: all else would cost every message of every
        request.
        """
        kind = message["type"]
        if kind == "http.response.start" and self._phase == OPEN:
            if self._loaded is not None or self._refused:
                return self._begin_response(message)
            self._phase = STREAMING
        elif kind in _LAST_WORDS and not message.get("more_body", False):
            if self._loaded is not None:
                return self._end_response(self._loaded, message)
            self._phase = DONE
        return self._send(message)

    async def _begin_response(self, message: Any) -> None:
        message = await self._desk.begin_response(self._loaded, self._scope, message, refused=self._refused)
        if message is None:
            await send_unavailable(self._send)
            self._send = _swallow
            self._phase = DONE
            return
        self._phase = STREAMING
        await self._send(message)

    async def _end_response(self, loaded: Loaded, message: Any) -> None:
        if self._phase == STREAMING:
            await loaded.save(self._desk.records)
        await self._send(message)
        self._phase = DONE


async def _swallow(message: Any) -> None:
    """Take what an application says after its response was replaced or has ended."""
