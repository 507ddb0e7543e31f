"""Who works with usage billing in the scenarios: logins and groups, one person a duty."""

from __future__ import annotations

from dataclasses import dataclass

from .odoo_session import Session

PASSWORD = "demo"
ADMINISTRATOR = ("admin", "admin")  # who Odoo knows in a fresh database


@dataclass(frozen=True)
class Person:
    """One user, with the groups that the duty takes and no more."""

    login: str
    name: str
    duty: str
    groups: tuple[str, ...]


USAGE_ADMIN = ("usage_connector_base.group_usage_admin", "product.group_product_manager")
PEOPLE = (
    Person("ada", "Ada Okafor", "sets up sources, meters and prices", USAGE_ADMIN),
    Person("ben", "Ben Lindqvist", "approves what Ada sets up", USAGE_ADMIN),
    Person(
        "olga",
        "Olga Marin",
        "operator: maps accounts, settles exceptions",
        ("usage_connector_base.group_usage_operator", "base.group_partner_manager"),
    ),
    Person(
        "paula",
        "Paula Reyes",
        "finance: prepares and submits statements",
        ("usage_billing.group_billing_preparer",),
    ),
    Person(
        "amir",
        "Amir Haddad",
        "finance: approves and posts what Paula submits",
        ("usage_billing.group_billing_approver",),
    ),
    Person(
        "sam",
        "Sam Whitfield",
        "sales: gets the opportunities and activities",
        ("usage_connector_base.group_usage_viewer", "sales_team.group_sale_salesman_all_leads"),
    ),
)


class Staff:
    """The people as logged-in users of one server.

    :param url: address of the server
    """

    def __init__(self, url: str, database: str):
        self._url = url
        self._database = database
        self._sessions: dict[str, Session] = {}

    def __getitem__(self, login: str) -> Session:
        """The session of one person, logged in when first asked for."""
        if login not in self._sessions:
            password = dict([ADMINISTRATOR]).get(login, PASSWORD)
            self._sessions[login] = Session(self._url, self._database, login, password)
        return self._sessions[login]

    def hire(self, people: tuple[Person, ...] = PEOPLE) -> None:
        """Have Odoo's administrator create the users that are missing.

        Groups of addons that are not installed are left out.
        """
        administrator = self[ADMINISTRATOR[0]]
        known = {user["login"] for user in administrator.read("res.users", [], ["login"])}
        xmlids = sorted({xmlid for person in people for xmlid in ("base.group_user", *person.groups)})
        groups = {xmlid: administrator.find_ref(xmlid) for xmlid in xmlids}
        values = [
            {
                "name": person.name,
                "login": person.login,
                "password": PASSWORD,
                "email": f"{person.login}@nimbus.example",
                "tz": "UTC",
                "group_ids": [[6, 0, [groups[x] for x in ("base.group_user", *person.groups) if groups[x]]]],
            }
            for person in people
            if person.login not in known
        ]
        administrator.create("res.users", values, no_reset_password=True)
