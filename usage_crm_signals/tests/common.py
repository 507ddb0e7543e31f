"""A company with a customer, a meter and a subscription, and usage made to measure."""

from datetime import datetime, timedelta

from odoo.fields import Command
from odoo.tests import TransactionCase, new_test_user
from odoo.tools import SQL

# A Wednesday, in the middle of the billing period of July.
NOW = datetime(2025, 7, 16, 9, 30)
TODAY = datetime(2025, 7, 16)


class SignalCommon(TransactionCase):
    """Fixture of all tests here; addons with kinds of their own may build on it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env = cls.env(context=dict(cls.env.context, tracking_disable=False))
        cls.company = cls.env.company
        cls.company.usage_tz = "UTC"
        cls.threshold_rule = cls.env.ref("usage_crm_signals.usage_signal_rule_included_threshold")
        cls.drop_rule = cls.env.ref("usage_crm_signals.usage_signal_rule_usage_drop")
        # Other addons and demo data may bring rules of their own.
        rules = cls.threshold_rule | cls.drop_rule
        cls.env["usage.signal.rule"].search([("id", "not in", rules.ids)]).active = False
        cls.salesperson = cls.new_user("sally", "sales_team.group_sale_salesman")
        cls.manager = cls.new_user("mona", "sales_team.group_sale_salesman_all_leads")
        cls.admins = [cls.new_user(login, "usage_connector_base.group_usage_admin") for login in ("ada", "bob")]
        rules.user_id = cls.manager
        cls.source = cls.new_source(cls.company)
        cls.meter = cls.new_meter(cls.company)
        cls.customer = cls.new_customer("Northwind")
        cls.account = cls.new_account(cls.customer)

    @classmethod
    def new_user(cls, login, groups, company=None):
        """Return an internal user with the given groups, in one company only."""
        company = company or cls.company
        return new_test_user(
            cls.env,
            login=f"signal_{login}",
            groups=f"base.group_user,{groups}",
            company_id=company.id,
            company_ids=[Command.set(company.ids)],
        )

    @classmethod
    def new_company(cls, name):
        """Return a company with the currency of the main one."""
        company = cls.env["res.company"].create({"name": name, "currency_id": cls.company.currency_id.id})
        company.usage_tz = "UTC"
        return company

    @classmethod
    def new_source(cls, company, **vals):
        """Return a source of usage in production."""
        values = {"name": f"Platform of {company.name}", "code": f"platform{company.id}", "company_id": company.id}
        return cls.env["usage.source"].create({**values, **vals})

    @classmethod
    def new_meter(cls, company, name="Requests", **vals):
        """Return a meter that counts events and has nothing to count again."""
        code = name.lower()
        values = {"name": name, "code": code, "event_type": code, "unit_name": "request", "company_id": company.id}
        meter = cls.env["usage.meter"].create({**values, **vals})
        meter.recount_pending = False
        return meter

    @classmethod
    def new_customer(cls, name, **vals):
        """Return a company that is a customer, looked after by the salesperson."""
        return cls.env["res.partner"].create({"name": name, "is_company": True, "user_id": cls.salesperson.id, **vals})

    @classmethod
    def new_account(cls, partner, source=None, **vals):
        """Return a usage account of the partner."""
        source = source or cls.source
        number = cls.env["usage.account"].search_count([]) + 1
        values = {"external_id": f"account-{number}", "source_id": source.id, "partner_id": partner.id}
        return cls.env["usage.account"].create({**values, **vals})

    @classmethod
    def use(cls, account, hour, quantity, meter=None):
        """Store the usage of one hour, as folding does: aggregates are never created by hand.

        :param datetime hour: naive UTC, start of the hour
        :param quantity: number or decimal text
        """
        meter = meter or cls.meter
        cls.env.flush_all()
        cls.env.cr.execute(
            SQL(
                """
                INSERT INTO usage_aggregate
                       (source_id, company_id, account_id, meter_id, hour, dimensions, quantity, event_count)
                VALUES (%s, %s, %s, %s, %s, '{}', %s::numeric, 1)
                """,
                account.source_id.id,
                account.company_id.id,
                account.id,
                meter.id,
                hour,
                str(quantity),
            )
        )
        cls.env["usage.aggregate"].invalidate_model()

    @classmethod
    def use_weeks(cls, account, quantities, meter=None, today=TODAY):
        """Store one quantity a week, the last one in the last 7 full days before ``today``.

        Each lies in the middle of its week; ``None`` stores nothing.
        """
        for back, quantity in enumerate(reversed(quantities)):
            if quantity is not None:
                cls.use(account, today - timedelta(days=7 * back + 4), quantity, meter)

    @classmethod
    def new_product(cls, company):
        """Return the service that usage is invoiced as."""
        return cls.env["product.product"].create(
            {"name": f"Usage of {company.name}", "type": "service", "company_id": company.id}
        )

    @classmethod
    def new_price(cls, meter, **vals):
        """Return an approved price of 0.50 per request over 1,000 included ones, on a new plan."""
        company = meter.company_id
        number = cls.env["usage.plan"].with_context(active_test=False).search_count([]) + 1
        plan = cls.env["usage.plan"].create(
            {"name": f"Plan {number}", "code": f"plan{number}", "company_id": company.id}
        )
        price = cls.env["usage.price"].create(
            {
                "plan_id": plan.id,
                "meter_id": meter.id,
                "product_id": cls.new_product(company).id,
                "model": "per_unit",
                "unit_amount": 0.5,
                "included_quantity": 1000.0,
                **vals,
            }
        )
        approver = cls.admins[0]
        approver.company_ids |= company
        price.with_user(approver).with_company(company).action_approve()
        return price

    @classmethod
    def subscribe(cls, partner, price, **vals):
        """Return an active monthly subscription to the plan of the price, since January 2025."""
        subscription = cls.env["usage.subscription"].create(
            {
                "partner_id": partner.id,
                "plan_id": price.plan_id.id,
                "company_id": price.company_id.id,
                "tz": "UTC",
                "date_start": "2025-01-01",
                **vals,
            }
        )
        subscription.action_activate()
        return subscription

    def detect(self, rule=None, at=NOW):
        """Return the signals that a check at ``at`` raises anew."""
        rules = rule or (self.threshold_rule | self.drop_rule)
        signals = rules._detect(at)
        self.assertEqual(rules.mapped("last_error"), [False] * len(rules))
        return signals

    def drop_signal(self, **vals):
        """Return the signal of a customer whose usage fell from 100 to 10 a week."""
        customer = self.new_customer("Contoso", **vals)
        self.use_weeks(self.new_account(customer), [100, 100, 100, 100, 10])
        return self.detect(self.drop_rule)

    def threshold_signal(self, used=900, **vals):
        """Return the signal of a customer that used 900 of the 1,000 requests of July."""
        customer = self.new_customer("Fabrikam", **vals)
        self.subscribe(customer, self.new_price(self.meter))
        self.use(self.new_account(customer), datetime(2025, 7, 3, 12), used)
        return self.detect(self.threshold_rule)
