"""What would usage have cost? Real usage, rated by other prices, touching nothing.

How it is rated is told in ``usage_simulation_rating.py``.
"""

import logging
from datetime import timedelta

from psycopg2 import OperationalError

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import date_utils, split_every

_logger = logging.getLogger(__name__)

AT_ONCE = 50  # so many subscriptions are calculated while the user waits
CHUNK = 100
DAY = timedelta(days=1)


class UsageSimulation(models.Model):
    _name = "usage.simulation"
    _description = "Price Simulation"
    _inherit = ["mail.thread"]
    _order = "id desc"
    _check_company_auto = True

    name = fields.Char(required=True, default=lambda self: self.env._("What would it have cost?"))
    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    plan_id = fields.Many2one(
        "usage.plan",
        check_company=True,
        ondelete="cascade",
        index="btree_not_null",
        help="The plan whose prices are applied, drafts too. Only the current one is calculated when empty.",
    )
    price_id = fields.Many2one(
        "usage.price",
        string="Version",
        readonly=True,
        check_company=True,
        ondelete="cascade",
        index="btree_not_null",
        help="The version of a price that is compared with the one before it; all else stays as it is.",
    )
    subscription_ids = fields.Many2many(
        "usage.subscription",
        string="Subscriptions",
        check_company=True,
        help="Whose usage is taken; empty: of all subscriptions that are not drafts.",
    )
    partner_ids = fields.Many2many(
        "res.partner", string="Customers", help="Only the subscriptions of these customers; empty: of all."
    )
    date_from = fields.Date(
        string="From",
        required=True,
        default=lambda self: self._last_quarter()[0],
        help="Billing periods that begin on this day or later are calculated.",
    )
    date_to = fields.Date(
        string="To",
        required=True,
        default=lambda self: self._last_quarter()[1],
        help="Billing periods that begin on this day or earlier are calculated.",
    )
    state = fields.Selection(
        [("draft", "Draft"), ("running", "Running"), ("done", "Done"), ("stopped", "Stopped")],
        required=True,
        default="draft",
        readonly=True,
        copy=False,
        help="Large simulations run in the background; the progress shows how far they are.",
    )
    problem = fields.Text(readonly=True, copy=False, help="Why the calculation could not go on.")
    subscription_count = fields.Integer(string="Subscriptions to Calculate", readonly=True, copy=False)
    done_count = fields.Integer(
        string="Calculated", readonly=True, copy=False, help="Subscriptions that are calculated."
    )
    progress = fields.Float(compute="_compute_progress", help="How far the calculation is, per cent.")
    line_ids = fields.One2many("usage.simulation.line", "simulation_id", string="Results")
    line_count = fields.Integer(compute="_compute_line_count")

    _date_order = models.Constraint("CHECK(date_to >= date_from)", "To: a simulation ends after it begins: correct it.")

    @api.model
    def _last_quarter(self):
        """Return the first and the last day of the quarter before this one."""
        this = date_utils.start_of(fields.Date.context_today(self), "quarter")
        return date_utils.start_of(this - DAY, "quarter"), this - DAY

    @api.depends("done_count", "subscription_count")
    def _compute_progress(self):
        for simulation in self:
            share = simulation.done_count / simulation.subscription_count if simulation.subscription_count else 0
            simulation.progress = 100.0 if simulation.state == "done" else 100.0 * share

    @api.depends("line_ids")
    def _compute_line_count(self):
        for simulation in self:
            simulation.line_count = len(simulation.line_ids)

    @api.constrains("plan_id", "price_id")
    def _check_prices(self):
        for simulation in self:
            if not simulation.plan_id and not simulation.price_id:
                raise ValidationError(self.env._("Plan: choose the plan whose prices are applied."))

    def write(self, vals):
        """Forget results that other questions gave."""
        asked = {"plan_id", "subscription_ids", "partner_ids", "date_from", "date_to", "company_id"}
        res = super().write(vals)
        if asked & vals.keys():
            self._restart("draft")
        return res

    # -- running ------------------------------------------------------------------------------

    @api.model
    def _of_price(self, price):
        """Return a new simulation that compares a version with the one before it, for last month."""
        this_month = date_utils.start_of(fields.Date.context_today(self), "month")
        values = {
            "name": self.env._("%s: who pays what", price.display_name),
            "company_id": price.company_id.id,
            "price_id": price.id,
            "date_from": date_utils.start_of(this_month - DAY, "month"),
            "date_to": this_month - DAY,
        }
        return self.create(values)

    def action_run(self):
        """Calculate: at once for few subscriptions, otherwise in the background.

        :return: action that shows the results, or the simulation while it runs
        """
        self.ensure_one()
        subscriptions = self._subscriptions()
        if not subscriptions:
            raise UserError(
                self.env._("No subscription fits: choose others, or other days; drafts have no usage to calculate.")
            )
        self._restart("running", len(subscriptions))
        if len(subscriptions) > AT_ONCE:
            # sudo: whoever simulates need not administer scheduled jobs
            self.env.ref("usage_billing.cron_simulate").sudo()._trigger()
            return {"type": "ir.actions.act_window", "res_model": self._name, "res_id": self.id, "view_mode": "form"}
        self._calculate(subscriptions)
        return self.action_view_lines()

    def _restart(self, state, count=0):
        # sudo: results follow from the question; nobody enters them
        self.line_ids.sudo().unlink()
        self.write({"state": state, "done_count": 0, "subscription_count": count, "problem": False})

    def _subscriptions(self):
        """Return the subscriptions that are calculated, in the order of their ids."""
        domain = [("company_id", "=", self.company_id.id), ("state", "!=", "draft")]
        if self.price_id:
            domain.append(("line_ids.price_id", "=", self.price_id._origin_price().id))
        if self.subscription_ids:
            domain.append(("id", "in", self.subscription_ids.ids))
        if self.partner_ids:
            domain.append(("commercial_partner_id", "in", self.partner_ids.commercial_partner_id.ids))
        domain.append(("date_start", "<=", self.date_to))
        # The subscriptions of one customer share what credit it has: together.
        return self.env["usage.subscription"].search(domain, order="commercial_partner_id, id")

    @api.model
    def _cron_simulate(self):
        """Calculate what is waiting, a number of subscriptions at a time.

        Commits after each, so a run that is cut off goes on where it stopped.
        """
        cron = self.env["ir.cron"]
        running = self.search([("state", "=", "running")], order="id")
        cron._commit_progress(remaining=sum(each.subscription_count - each.done_count for each in running))
        for simulation in running:
            rest = simulation._subscriptions()[simulation.done_count :]
            for ids in split_every(CHUNK, rest.ids):
                simulation._calculate_or_stop(self.env["usage.subscription"].browse(ids))
                if not cron._commit_progress(len(ids)):
                    return
                self.env.invalidate_all()
                if simulation.state == "stopped":
                    break
            else:
                simulation.write({"state": "done"})
            cron._commit_progress()

    def _calculate_or_stop(self, subscriptions):
        """Add the results of some subscriptions; an unexpected error stops this simulation, and no other."""
        try:
            with self.env.cr.savepoint():
                self._calculate(subscriptions)
        except OperationalError:
            raise
        except Exception as error:
            _logger.exception("Price simulation %s stopped", self.id)
            self.write({"state": "stopped", "problem": str(error) or repr(error)})

    def _calculate(self, subscriptions):
        """Add the results of some subscriptions."""
        # sudo: results follow from the question; nobody enters them
        self.env["usage.simulation.line"].sudo().create(self._result_vals(subscriptions))
        done = self.done_count + len(subscriptions)
        self.write({"done_count": done, "state": "done" if done >= self.subscription_count else "running"})

    def action_view_lines(self):
        """The results of this simulation."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_billing.action_usage_simulation_line")
        return {**action, "domain": [("simulation_id", "in", self.ids)], "context": {}, "name": self.display_name}
