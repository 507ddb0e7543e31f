"""Fixtures for tests of usage: this addon's and those of the addons that build on it."""

import base64
from datetime import timedelta

import msgspec

from odoo import fields
from odoo.fields import Command
from odoo.tests import HttpCase, TransactionCase
from odoo.tools import SQL

from odoo.addons.usage_connector_base.ingestion import envelope

ADDON = "usage_connector_base"
OUTCOMES = ("accepted", "duplicate", "conflict", "quarantined", "rejected")
EVENT_TYPE = "llm.completion"
_encoder = msgspec.json.Encoder(decimal_format="number")


def to_json(value):
    """Bytes of JSON for a value whose Decimals are written as numbers, digit by digit."""
    return _encoder.encode(value)


class UsageCommon(TransactionCase):
    """An approved source, a meter, a mapped account, and one person of each group.

    ``ingest(events)`` sends events through the pipeline as the source's API user would, ``fold()``
    counts them; both work in the test's transaction. Every test begins without usage of its own.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company = cls.env.company
        cls.viewer, cls.operator, cls.admin, cls.second_admin = cls._people(
            {
                "viewer": ["group_usage_viewer"],
                "operator": ["group_usage_operator"],
                "admin": ["group_usage_admin"],
                "second_admin": ["group_usage_admin"],
            }
        )
        cls.source = cls._source("acme-cloud")
        cls.customer = cls.env["res.partner"].create({"name": "Acme Ltd", "is_company": True})
        cls.account = cls._account("acme", cls.customer)
        cls.meter = cls._meter("tokens", value_path="tokens", dimensions="model")
        # The middle of yesterday, so that no test depends on the time at which it runs.
        cls.hour = fields.Datetime.subtract(fields.Datetime.now(), days=1).replace(hour=10, minute=0, second=0)
        cls.now = fields.Datetime.now()
        cls._recount()

    # -- records ----------------------------------------------------------------------------

    @classmethod
    def _person(cls, login, *groups, **values):
        """A user with groups, which are of this addon where they name none."""
        return cls._people({login: groups}, **values)

    @classmethod
    def _people(cls, groups_of, **values):
        """Users, one for each login, with groups and with the login for a password.

        :param dict groups_of: groups of each login, without the addon where they are of this one
        """
        context = {"no_reset_password": True, "tracking_disable": True, "mail_create_nosubscribe": True}
        return (
            cls.env["res.users"]
            .with_context(**context)
            .create(
                [
                    {
                        "name": login.replace("_", " ").title(),
                        "login": f"usage_test_{login}",
                        "password": f"usage_test_{login}",
                        "email": f"{login}@example.com",
                        "group_ids": [Command.set([cls._group(name).id for name in groups])],
                        **values,
                    }
                    for login, groups in groups_of.items()
                ]
            )
            .with_env(cls.env)
        )

    @classmethod
    def _group(cls, name):
        return cls.env.ref(name if "." in name else f"{ADDON}.{name}")

    @classmethod
    def _source(cls, code, company=None, **values):
        """A source that the first administrator created and the second approved."""
        company = company or cls.company
        admins = cls.admin | cls.second_admin
        admins.company_ids |= company
        source = (
            cls.env["usage.source"]
            .with_user(cls.admin)
            .with_context(allowed_company_ids=company.ids)
            .create({"name": code.title(), "code": code, "company_id": company.id, **values})
        )
        source.with_user(cls.second_admin).action_approve()
        return source.with_env(cls.env)

    @classmethod
    def _account(cls, external_id, partner=None, source=None, **values):
        """An account, mapped when ``partner`` is given."""
        values = {"external_id": external_id, "source_id": (source or cls.source).id, **values}
        return cls.env["usage.account"].create({**values, "partner_id": partner and partner.id})

    @classmethod
    def _meter(cls, code, event_type=EVENT_TYPE, **values):
        """A meter, which sums when a ``value_path`` is given and counts otherwise."""
        aggregation = "sum" if values.get("value_path") else "count"
        return cls.env["usage.meter"].create(
            {"name": code.title(), "code": code, "event_type": event_type, "aggregation": aggregation, **values}
        )

    @classmethod
    def change(cls, meter, valid_from=False, **values):
        """Another version of a meter, which one administrator proposes and another one approves.

        :param datetime valid_from: naive UTC; without one it replaces all that was
        :return: the version
        """
        version = meter.version_ids.with_user(cls.admin)._propose(meter._version_at(cls.now))
        version.write({"valid_from": valid_from, "replaces_later": not valid_from, **values})
        version.action_submit()
        version.with_user(cls.second_admin).action_approve()
        cls.env.invalidate_all()
        return version.with_env(cls.env)

    @classmethod
    def expire_keys(cls):
        """Let the keys of the source be past their date."""
        cls.env["res.users.apikeys"].flush_model()
        cls.env.cr.execute(
            SQL(
                "UPDATE res_users_apikeys SET expiration_date = now() AT TIME ZONE 'UTC' - interval '1 minute' "
                "WHERE user_id = %s",
                cls.source.user_id.id,
            )
        )
        cls.env.invalidate_all()

    # -- events -----------------------------------------------------------------------------

    @classmethod
    def time(cls, minutes=0):
        """RFC 3339 text of a moment, in minutes after the begin of ``cls.hour``."""
        return f"{fields.Datetime.add(cls.hour, minutes=minutes).isoformat()}Z"

    @classmethod
    def event(cls, event_id, tokens=1, **values):
        """A well-formed event of the mapped account; a value of None leaves an attribute out."""
        event = {
            "specversion": "1.0",
            "id": event_id,
            "source": "/test",
            "type": EVENT_TYPE,
            "subject": "acme",
            "time": cls.time(),
            "data": {"tokens": tokens, "model": "large"},
            **values,
        }
        return {name: value for name, value in event.items() if value is not None}

    @classmethod
    def ingest(cls, events, source=None, **request):
        """Events through the pipeline, in the current transaction.

        :param events: list of events, or the bytes of a body ``{"events": [...]}``
        :return: the answer, as the sender gets it
        """
        body = events if isinstance(events, bytes) else to_json({"events": events})
        return cls._ingest_parsed(envelope.parse(body, envelope.PLAIN), source, request)

    @classmethod
    def _ingest_parsed(cls, events, source, request):
        sender = (source or cls.source)._as_sender()
        cls.env.flush_all()
        answer = cls.env(user=sender.user_id)["usage.ingestion"]._ingest(sender, events, **request)
        cls.env.flush_all()
        cls.env.invalidate_all()
        return answer

    @classmethod
    def correct(cls, *corrections, source=None, **request):
        """Corrections through the pipeline, in the current transaction: the answer, as the sender gets it."""
        return cls._sent("_correct", "corrections", corrections, source, request)

    @classmethod
    def summarize(cls, *summaries, source=None, **request):
        """Summaries through the pipeline, in the current transaction: the answer, as the sender gets it."""
        return cls._sent("_summarize", "summaries", summaries, source, request)

    @classmethod
    def _sent(cls, method, name, items, source, request):
        sender = (source or cls.source)._as_sender()
        sent = envelope.parse_list(to_json({name: items}), envelope.PLAIN, name)
        cls.env.flush_all()
        answer = getattr(cls.env(user=sender.user_id)["usage.ingestion"], method)(sender, sent, **request)
        cls.env.flush_all()
        cls.env.invalidate_all()
        return answer

    @classmethod
    def void(cls, correction_id, event_id, **values):
        """A correction that voids an event."""
        return {"id": correction_id, "action": "void", "event": event_id, "reason": "Sent in error", **values}

    @classmethod
    def amend(cls, correction_id, event_id, **changes):
        """A correction that amends an event."""
        return {"id": correction_id, "action": "amend", "event": event_id, "reason": "Measured wrong", **changes}

    @classmethod
    def summary(cls, quantity=1, start=0, hours=1, **values):
        """A well-formed summary of the mapped account, which begins ``start`` hours after ``cls.hour``."""
        summary = {
            "account": "acme",
            "meter": "tokens",
            "start": cls.time(start * 60),
            "end": cls.time((start + hours) * 60),
            "quantity": quantity,
            "dimensions": {"model": "large"},
            "sequence": 1,
            **values,
        }
        return {name: value for name, value in summary.items() if value is not None}

    @classmethod
    def fold(cls):
        """Count what waits, as the job does: changed meters again, then new batches.

        :return: how many meters and batches there were
        """
        cls.env.flush_all()
        done = cls._recount() + cls.env["usage.aggregate"]._fold()
        cls.env.invalidate_all()
        return done

    @classmethod
    def _recount(cls):
        cls.env.flush_all()
        return cls.env["usage.aggregate"]._recount_changed_meters()

    # -- looking ----------------------------------------------------------------------------

    def outcomes(self, answer):
        """Counts of an answer without the zeros."""
        return {outcome: answer[outcome] for outcome in OUTCOMES if answer[outcome]}

    def codes(self, answer):
        """Code per index of the events that were not accepted."""
        return {event["index"]: event["code"] for event in answer["events"]}

    def figures(self, meter=None):
        """Hourly usage of a meter: dict of (account, hour, dimensions) to (quantity as text, events)."""
        query = SQL(
            """
            SELECT a.external_id, g.hour, g.dimensions::text, g.quantity::text, g.event_count
            FROM usage_aggregate g JOIN usage_account a ON a.id = g.account_id WHERE g.meter_id = %s
            """,
            (meter or self.meter).id,
        )
        return {row[:3]: row[3:] for row in self.env.execute_query(query)}

    def corrections(self, *event_ids):
        """Corrections of the events with these ids, in the order in which they came."""
        domain = [("source_id", "=", self.source.id), ("event_ref", "in", event_ids)]
        return self.env["usage.correction"].search(domain, order="id")

    def exceptions(self, **values):
        """Exceptions of the test's source whose fields have these values."""
        domain = [("source_id", "=", self.source.id), *((name, "=", value) for name, value in values.items())]
        return self.env["usage.exception"].search(domain)

    def stored(self, *event_ids):
        """Stored events of the test's source with these ids."""
        domain = [("source_id", "=", self.source.id), ("event_id", "in", event_ids)]
        return self.env["usage.event"].search(domain)

    @classmethod
    def _imported(cls, source):
        """A file of one event, imported for a source."""
        content = f"id,subject,time,type\nfrom a file,acme,{cls.time()},file.row\n"
        job = cls.env["usage.import"].create(
            {"source_id": source.id, "file": base64.b64encode(content.encode()), "file_name": "usage.csv", "tz": "UTC"}
        )
        job.action_read_file()
        job.action_start()
        while job._step():
            pass
        return job

    @classmethod
    def _told(cls, company):
        """What is known of a company beside its usage.

        An endpoint with a message and one attempt to send it, totals of its requests, and a
        comparison that found its hours damaged.
        """
        cls.env.cr.execute(SQL("UPDATE usage_aggregate SET total = 0 WHERE company_id = %s", company.id))
        check = cls.env["usage.drift.check"].create({"company_id": company.id})
        for meter in cls.env["usage.meter"].search([("company_id", "=", company.id)]):
            check._compare(meter, check.date_from)
            check._compare(meter, cls.hour.date())
        types = cls.env["usage.delivery.type"].search([("code", "=", "usage.account.mapped")])
        endpoint = cls.env["usage.endpoint"].create(
            {"name": "Receiver", "company_id": company.id, "url": "https://receiver.example", "type_ids": types.ids}
        )
        endpoint._rotate_secret()
        endpoint.action_start()
        delivery = cls.env["usage.delivery"]._enqueue("usage.account.mapped", {"account": "acme"}, company)
        cls.env["usage.delivery.attempt"].create(
            {"delivery_id": delivery.id, "company_id": company.id, "attempted_at": fields.Datetime.now()}
        )
        hour_ago = fields.Datetime.now() - timedelta(hours=1)
        cls.env.cr.execute(SQL("UPDATE usage_batch SET received_at = %s WHERE company_id = %s", hour_ago, company.id))
        cls.env.invalidate_all()


class UsageHttpCommon(UsageCommon, HttpCase):
    """The same, with a key and ``post(body)`` for the real HTTP controller."""

    URL = "/usage/v1/events"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.key = cls.new_key()

    @classmethod
    def new_key(cls, source=None, **values):
        """A new key of a source, made by an administrator."""
        return (source or cls.source).with_user(cls.admin)._generate_key(**values)

    def post(self, body, key=None, content_type=envelope.PLAIN, headers=None):
        """Send a request; ``body`` is bytes, or a list of events.

        :param key: another key than the source's own; "" sends none
        :return: the response, of the requests library
        """
        body = body if isinstance(body, bytes) else to_json({"events": body})
        sent = {"Content-Type": content_type, **(headers or {})}
        if key != "":
            sent.setdefault("Authorization", f"Bearer {key or self.key}")
        self.env.flush_all()
        response = self.url_open(self.URL, data=body, headers=sent, method="POST")
        self.env.invalidate_all()
        return response

    def assertRefused(self, response, status, code):
        """The answer is the JSON of a refusal with this status and code."""
        self.assertEqual(response.status_code, status, response.text[:500])
        self.assertTrue(response.headers["Content-Type"].startswith("application/json"), response.headers)
        error = response.json()["error"]
        self.assertEqual(error["code"], code)
        self.assertTrue(error["message"])

    def last_batch(self):
        """The record of the source's latest request."""
        return self.env["usage.batch"].search([("source_id", "=", self.source.id)], limit=1)
