"""A browser that speaks ASGI: keeps cookies as browsers do, and shows every header of every answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        found = [value.decode("latin-1") for key, value in self.headers if key.lower() == name.encode()]
        return ", ".join(found) if found else None

    @property
    def set_cookies(self) -> list[str]:
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == b"set-cookie"]

    def json(self) -> Any:
        return json.loads(self.body)


class Browser:
    """One visitor. ``app`` may be exchanged, as when the server is restarted."""

    def __init__(self, app: Any, *, scheme: str = "https", host: str = "shop.example") -> None:
        self.app = app
        self.scheme = scheme
        self.host = host
        self.cookies: dict[str, str] = {}
        self.client = ("203.0.113.9", 40000)

    def copy(self) -> Browser:
        """Another tab, or a thief: the same cookies, from now on apart."""
        twin = Browser(self.app, scheme=self.scheme, host=self.host)
        twin.cookies = dict(self.cookies)
        return twin

    async def get(self, path: str = "/", headers: Mapping[str, str] | None = None) -> Answer:
        return await self.request("GET", path, headers)

    async def post(
        self, path: str = "/", body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        given = {"content-type": "application/json"} | dict(headers or {})
        return await self.request("POST", path, given, json.dumps(body).encode() if body is not None else b"")

    async def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        answer, pieces = Answer(), bytearray()  # bytes would be copied whole with each piece

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = list(message.get("headers", []))
            elif message["type"] == "http.response.body":
                pieces.extend(message.get("body", b""))

        await self.app(self.scope(method, path, headers), receive, send)
        answer.body = bytes(pieces)
        self._keep(answer)
        return answer

    def scope(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        lines = [(b"host", self.host.encode())]
        if self.cookies:
            line = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            lines.append((b"cookie", line.encode("latin-1")))
        lines += [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "scheme": self.scheme,
            "headers": lines,
            "client": self.client,
            "server": (self.host, 443),
            "state": {},
        }

    def _keep(self, answer: Answer) -> None:
        for cookie in answer.set_cookies:
            pair, *attributes = [part.strip() for part in cookie.split(";")]
            name, _, value = pair.partition("=")
            lowered = [attribute.lower() for attribute in attributes]
            if "secure" in lowered and self.scheme != "https":
                continue
            if name.startswith("__Host-") and not ({"secure", "path=/"} <= set(lowered)):
                continue
            if "max-age=0" in lowered:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
