"""A person at Odoo's web client, as seen by the server: log in, call methods, read records.

Every call carries that person's own session, so access rights are those of the web client.
"""

from __future__ import annotations

import http.client
import itertools
import json
from http.cookies import SimpleCookie
from urllib.parse import urlsplit


class OdooError(Exception):
    """Odoo answered with an error; the message is what a person would read in the dialog."""

    def __init__(self, error: dict):
        data = error.get("data") or {}
        super().__init__(data.get("message") or error.get("message") or "unknown error")
        self.name = data.get("name", "")
        self.debug = data.get("debug", "")


class Session:
    """One logged-in user.

    :param url: address of the server, such as `http://127.0.0.1:8069`
    """

    def __init__(self, url: str, database: str, login: str, password: str, timeout: float = 600):
        address = urlsplit(url)
        self._http = http.client.HTTPConnection(address.hostname, address.port or 80, timeout=timeout)
        self._cookies: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self.login = login
        answer = self.rpc(
            "/web/session/authenticate",
            {"db": database, "login": login, "password": password},
        )
        self.uid: int = answer["uid"]

    def rpc(self, path: str, params: dict):
        """One JSON-RPC request as the web client makes it.

        :raises OdooError: what the server objected
        """
        request = {"jsonrpc": "2.0", "method": "call", "id": next(self._numbers), "params": params}
        headers = {
            "Content-Type": "application/json",
            "Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
        }
        try:
            self._http.request("POST", path, json.dumps(request), headers)
            response = self._http.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._http.close()
            raise
        for header in response.headers.get_all("Set-Cookie") or ():
            self._cookies.update({name: item.value for name, item in SimpleCookie(header).items()})
        answer = json.loads(content)
        if "error" in answer:
            raise OdooError(answer["error"])
        return answer.get("result")

    def call(self, model: str, method: str, *args, **kwargs):
        """Call a public method of a model; for record methods the first argument is the ids."""
        params = {"model": model, "method": method, "args": list(args), "kwargs": kwargs}
        return self.rpc(f"/web/dataset/call_kw/{model}/{method}", params)

    def create(self, model: str, values: list[dict], **context) -> list[int]:
        return self.call(model, "create", values, context=context)

    def write(self, model: str, ids: list[int], values: dict) -> bool:
        return self.call(model, "write", ids, values)

    def search(self, model: str, domain: list, **options) -> list[int]:
        return self.call(model, "search", domain, **options)

    def read(self, model: str, domain: list, fields: list[str], **options) -> list[dict]:
        """`search_read`: dictionaries of the fields of all records in `domain`."""
        return self.call(model, "search_read", domain, fields, **options)

    def count(self, model: str, domain: list) -> int:
        return self.call(model, "search_count", domain)

    def find_ref(self, xmlid: str) -> int:
        """The database id behind an external id, 0 when there is none or this user may not see it."""
        module, name = xmlid.split(".")
        found = self.read("ir.model.data", [["module", "=", module], ["name", "=", name]], ["res_id"])
        return found[0]["res_id"] if found else 0
