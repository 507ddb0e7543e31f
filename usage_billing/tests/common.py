"""Fixtures for tests of billing: this addon's and those of the addons that build on it."""

from datetime import datetime

from odoo.fields import Command
from odoo.service.model import call_kw

from odoo.addons.account.tests.common import AccountTestInvoicingCommon
from odoo.addons.usage_connector_base.tests.common import EVENT_TYPE, UsageCommon

ADDON = "usage_billing"
# The billing period that most tests are about: March of last year's spring, in UTC.
START, END = datetime(2025, 3, 1), datetime(2025, 4, 1)
MARCH = datetime(2025, 3, 10, 12)


def rpc(records, method, *args, **kwargs):
    """Call a method as the web client does: public methods alone, plain values alone."""
    context = {"allowed_company_ids": records.env.companies.ids, **kwargs.pop("context", {})}
    ids = [] if method == "create" else [records.ids]
    return call_kw(records.browse(), method, [*ids, *args], {**kwargs, "context": context})


class UsageBillingCommon(UsageCommon):
    """A plan of one approved price, an active subscription, and one person of each billing role.

    ``use(quantity, at)`` sends usage of the customer through the pipeline and counts it;
    ``statement(at)`` is the statement of a moment; ``advance(statement, "approved")`` takes it
    through its states by the people who may.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["ir.config_parameter"].sudo().set_param("usage.max_age_days", 10_000)
        cls.company.usage_tz = "UTC"
        cls.preparer = cls._person("preparer", f"{ADDON}.group_billing_preparer")
        cls.approver = cls._person("approver", f"{ADDON}.group_billing_approver")
        cls.both = cls._person("both", f"{ADDON}.group_billing_preparer", f"{ADDON}.group_billing_approver")
        cls.product = cls._service("Tokens")
        cls.credit_product = cls._service("Prepaid credit")
        cls.plan = cls._plan("standard")
        cls.price = cls._price(unit_amount=0.5)
        cls.subscription = cls._subscription()
        cls._events = 0

    # -- records ----------------------------------------------------------------------------

    @classmethod
    def _service(cls, name, **values):
        """A service to invoice usage as."""
        return cls.env["product.product"].create({"name": name, "type": "service", **values})

    @classmethod
    def _plan(cls, code, **values):
        """A plan without prices."""
        return cls.env["usage.plan"].create({"name": code.title(), "code": code, **values})

    @classmethod
    def _price(cls, approved=True, tiers=(), **values):
        """A price of the plan, drafted by one administrator and approved by another.

        :param tiers: triples of up_to, unit amount, flat amount
        """
        values = {
            "plan_id": cls.plan.id,
            "meter_id": cls.meter.id,
            "product_id": cls.product.id,
            "tier_ids": [
                Command.create({"sequence": n, "up_to": up_to, "unit_amount": unit, "flat_amount": flat})
                for n, (up_to, unit, flat) in enumerate(tiers)
            ],
            **values,
        }
        price = cls.env["usage.price"].with_user(cls.admin).create(values)
        if approved:
            price.with_user(cls.second_admin).action_approve()
        return price.with_env(cls.env)

    @classmethod
    def _subscription(cls, active=True, **values):
        """A monthly subscription of the customer to the plan, in UTC, from the start of 2025."""
        subscription = cls.env["usage.subscription"].create(
            {
                "partner_id": cls.customer.id,
                "plan_id": cls.plan.id,
                "date_start": "2025-01-01",
                "tz": "UTC",
                **values,
            }
        )
        if active:
            subscription.action_activate()
        return subscription

    @classmethod
    def _customer(cls, name, **values):
        """Another customer with an account and an active subscription, in this order."""
        partner = cls.env["res.partner"].create({"name": name, "is_company": True})
        account = cls._account(name.lower(), partner)
        return partner, account, cls._subscription(partner_id=partner.id, **values)

    # -- usage ------------------------------------------------------------------------------

    @classmethod
    def use(cls, tokens=1, at=MARCH, subject="acme", event_type=EVENT_TYPE, **data):
        """Send one event and count it.

        :param tokens: int, or Decimal for fractions
        :param datetime at: naive UTC
        """
        cls._events += 1
        event = cls.event(
            f"use-{cls._events}",
            type=event_type,
            subject=subject,
            time=f"{at.isoformat()}Z",
            data={"tokens": tokens, **data},
        )
        answer = cls.ingest([event])
        assert not answer["rejected"], answer
        cls.fold()

    @classmethod
    def credit(cls, amount, approved=True, **values):
        """Credit of the customer from the start of 2025, given by two people."""
        grant = (
            cls.env["usage.credit.grant"]
            .with_user(cls.preparer)
            .create(
                {
                    "partner_id": cls.customer.id,
                    "product_id": cls.credit_product.id,
                    "amount": amount,
                    "effective_at": "2025-01-01 00:00:00",
                    **values,
                }
            )
        )
        if approved:
            grant.with_user(cls.approver).action_approve()
        return grant.with_env(cls.env)

    # -- statements -------------------------------------------------------------------------

    @classmethod
    def statement(cls, at=MARCH, subscription=None):
        """The statement of the period that contains a moment, as the system sees it."""
        return (subscription or cls.subscription)._ensure_statement(at).with_env(cls.env)

    def advance(self, statement, state):
        """Take statements forward to ``state``: prepared by one person, approved by another."""
        steps = [
            ("rated", self.preparer, "action_rate"),
            ("to_approve", self.preparer, "action_submit"),
            ("approved", self.approver, "action_approve"),
            ("invoiced", self.approver, "action_invoice"),
            ("posted", self.approver, "action_post"),
        ]
        for reached, person, method in steps:
            getattr(statement.with_user(person), method)()
            if reached == state:
                break
        self.assertEqual(set(statement.mapped("state")), {state}, statement.mapped("blocked_reason"))
        return statement

    def last_step(self, statement):
        """The latest entry of a statement's approval log."""
        return statement.approval_ids.sorted("id")[-1:]

    def messages(self, statement, text):
        """The messages on a statement that contain a text."""
        return statement.message_ids.filtered(lambda message: text in (message.body or ""))

    def rated(self, at=MARCH, subscription=None):
        """The statement of a moment, rated by the preparer."""
        return self.advance(self.statement(at, subscription), "rated")


class UsageInvoicingCommon(UsageBillingCommon, AccountTestInvoicingCommon):
    """The same in a company with a chart of accounts, for what touches invoices."""

    @classmethod
    def setup_independent_user(cls):
        """Keep the superuser: the people of these tests are those of the billing roles."""
        return

    def invoiced(self, at=MARCH, subscription=None):
        """The statement of a moment with its draft invoice."""
        return self.advance(self.statement(at, subscription), "invoiced")

    def posted(self, at=MARCH, subscription=None):
        """The statement of a moment with its posted invoice."""
        return self.advance(self.statement(at, subscription), "posted")
