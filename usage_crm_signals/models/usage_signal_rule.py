import logging

from odoo import api, fields, models
from odoo.tools import plaintext2html, split_every

_logger = logging.getLogger(__name__)

# Signals created between two commits of the scheduled action.
CHUNK = 100

# All of them, rules and companies, each time.
ACTIVE = [("active", "=", True)]


class UsageSignalRule(models.Model):
    """When a person should be called, about which customers, and who."""

    _name = "usage.signal.rule"
    _description = "Usage Signal Rule"
    _inherit = ["mail.thread"]
    _order = "sequence, id"
    _check_company_auto = True

    name = fields.Char(required=True, translate=True)
    sequence = fields.Integer(default=10)
    active = fields.Boolean(default=True, help="An archived rule raises no more signals.")
    kind = fields.Selection(
        [
            ("included_threshold", "Included quantity nearly used"),
            ("usage_drop", "Usage dropped"),
        ],
        required=True,
        default="included_threshold",
        tracking=True,
        help="What the rule looks for in the usage of your customers.",
    )
    company_id = fields.Many2one(
        "res.company",
        index=True,
        help="Check the customers of this company only. Empty: of every company.",
    )
    meter_id = fields.Many2one(
        "usage.meter",
        check_company=True,
        index="btree_not_null",
        ondelete="restrict",
        help="Look at this meter only. Empty: at every meter by itself. Choose a company first.",
    )
    percentage = fields.Float(
        digits=(6, 2),
        compute="_compute_percentage",
        store=True,
        readonly=False,
        precompute=True,
        required=True,
        tracking=True,
        help="Included quantity: raise a signal when this share of it is used.\n"
        "Usage drop: raise a signal when usage falls by this share or more.",
    )
    weeks = fields.Integer(
        string="Weeks to Compare With",
        default=4,
        required=True,
        help="The last 7 full days are compared with the average of this many weeks before "
        "them. A customer without usage in any of these weeks raises no signal, and none is "
        "raised again before as many weeks have passed.",
    )
    minimum_quantity = fields.Float(
        string="Minimum Weekly Usage",
        digits=0,
        help="Leave out customers whose weekly average is below this quantity, in the unit of "
        "the meter, so that small customers do not cause noise.",
    )
    user_id = fields.Many2one(
        "res.users",
        string="Responsible",
        check_company=True,
        domain=[("share", "=", False)],
        index="btree_not_null",
        help="Who gets the opportunity or activity when the customer has no salesperson of the company.",
    )
    team_id = fields.Many2one(
        "crm.team",
        string="Sales Team",
        check_company=True,
        index="btree_not_null",
        help="Team of the opportunities. Empty: the team of their salesperson.",
    )
    signal_ids = fields.One2many("usage.signal", "rule_id", string="Signals")
    signal_count = fields.Integer(string="Signals Raised", compute="_compute_signal_count")
    last_run = fields.Datetime(
        string="Last Check", readonly=True, copy=False, help="When the rule was last checked (UTC)."
    )
    pending = fields.Boolean(
        readonly=True, copy=False, help="Awaits its turn in the scheduled check that is under way."
    )
    last_error = fields.Text(
        string="Problem",
        readonly=True,
        copy=False,
        help="What went wrong at the last check. What could be checked was, and the rest is "
        "tried again at the next one.",
    )

    _check_percentage = models.Constraint(
        "CHECK(percentage > 0 AND (kind != 'usage_drop' OR percentage <= 100))",
        "The percentage must be above 0, and for a drop at most 100.",
    )
    _check_weeks = models.Constraint("CHECK(weeks BETWEEN 1 AND 52)", "Compare with at least 1 and at most 52 weeks.")
    _check_minimum_quantity = models.Constraint(
        "CHECK(minimum_quantity IS NULL OR minimum_quantity >= 0)",
        "The minimum weekly usage cannot be negative: use 0 for no minimum.",
    )

    @api.depends("kind")
    def _compute_percentage(self):
        for rule in self:
            rule.percentage = rule._handler()._default_percentage

    @api.depends("signal_ids")
    def _compute_signal_count(self):
        counts = dict(self.env["usage.signal"]._read_group([("rule_id", "in", self.ids)], ["rule_id"], ["__count"]))
        for rule in self:
            rule.signal_count = counts.get(rule, 0)

    def _handler(self):
        """Return the model that knows the rule's kind (``usage.signal.kind.<kind>``)."""
        return self.env[f"usage.signal.kind.{self.kind or 'included_threshold'}"]

    def action_view_signals(self):
        """Open the signals of the rule."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_crm_signals.action_usage_signal")
        return {**action, "domain": [("rule_id", "in", self.ids)], "context": {}}

    def action_check_now(self):
        """Check the rules at once and say what came of it."""
        self.check_access("write")
        # sudo: who may change the rule may run it; customers and usage are read and
        # signals created on behalf of the companies, as in the scheduled action
        signals = self.sudo()._detect()
        failed = self.filtered("last_error")
        message = self.env._("%s new signals.", len(signals))
        if failed:
            message = self.env._("%s Not everything could be checked: see the problem below.", message)
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "warning" if failed else "success",
                "message": message,
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    # Detection

    @api.model
    def _cron_detect(self):
        """Check every rule, committing as it goes; called daily.

        A rule that fails keeps its problem on its record and never stops the others. No
        exception leaves here for it: a scheduled action that keeps failing is switched
        off, and with it the rules that work.
        """
        cron = self.env["ir.cron"]
        at = fields.Datetime.now()
        rules = self._take_turns()
        cron._commit_progress(remaining=len(rules))
        for left, rule in zip(range(len(rules), 0, -1), rules, strict=True):
            for signals in rule._run(at):
                if not cron._commit_progress(len(signals), remaining=left):
                    return
            if not cron._commit_progress(1, remaining=left - 1):
                return

    @api.model
    def _take_turns(self):
        """Return the rules to check: what an earlier call left over, else all of them.

        The scheduled action may be cut off at any commit and is called again at once.
        """
        rules = self.search([("pending", "=", True)])
        if not rules:
            rules = self.search(ACTIVE)
            rules.pending = True
        return rules

    def _detect(self, at=None):
        """Check rules (all active ones when ``self`` is empty) and raise their signals.

        Raising is idempotent: the same fact gives one signal, however often this runs.

        :param datetime at: the moment to look at (naive UTC); now when left out
        :return: the new signals
        """
        at = at or fields.Datetime.now()
        signals = self.env["usage.signal"]
        for rule in self or self.search(ACTIVE):
            for chunk in rule._run(at):
                signals |= chunk
        return signals

    def _run(self, at):
        """Check one rule in its companies, yielding new signals a chunk at a time.

        Between two chunks the caller may commit.
        """
        self.ensure_one()
        errors = []
        for company in self.company_id or self.env["res.company"].search(ACTIVE):
            rule = self.with_company(company)
            for facts in split_every(CHUNK, rule._new_facts(at, errors)):
                yield rule._raise_signals(facts, at, errors).with_env(self.env)
        self._note_result(errors)

    def _new_facts(self, at, errors):
        """Return what the kind finds in ``self.env.company`` and was not raised before.

        A failure is added to ``errors`` and gives nothing.
        """
        try:
            with self.env.cr.savepoint():
                facts = self._handler()._detect(self, at)
                known = self.env["usage.signal"]._known_facts(self, facts)
        except Exception as error:  # noqa: BLE001 one bad rule must not stop the others
            self._note_error(errors, self.env.company.name, error)
            return []
        return [vals for vals in facts if self.env["usage.signal"]._fact_key(vals) not in known]

    def _raise_signals(self, facts, at, errors):
        """Create the signals of some facts, each on its own: one bad record costs itself."""
        signals = self.env["usage.signal"]
        for vals in facts:
            try:
                with self.env.cr.savepoint():
                    signals |= signals.create(self._signal_values(vals, at))
            except Exception as error:  # noqa: BLE001 one bad customer must not stop the others
                partner = self.env["res.partner"].browse(vals["partner_id"])
                self._note_error(errors, f"{self.env.company.name}, {partner.display_name}", error)
        return signals

    def _signal_values(self, fact, at):
        """Complete the values that a kind found with those that every signal has."""
        partner = self.env["res.partner"].browse(fact["partner_id"])
        lang = self._responsible(partner).lang or self.env.lang
        vals = self._handler()._enrich(self, at, fact)
        return {
            **vals,
            "rule_id": self.id,
            "company_id": self.env.company.id,
            "date": at,
            "summary": self._handler().with_context(lang=lang)._summary(vals["evidence"]),
        }

    def _responsible(self, partner):
        """Return who looks after a customer in ``self.env.company``, or no user.

        The customer's salesperson, else the rule's responsible; never someone who left,
        is not internal, or does not belong to the company.
        """
        for user in (partner.user_id, self.user_id):
            if user.active and not user.share and self.env.company in user.company_ids:
                return user
        return self.env["res.users"]

    def _note_error(self, errors, where, error):
        """Keep a failure for :meth:`_note_result` and for the log."""
        _logger.exception("Usage signal rule %s failed for %s", self.id, where)
        errors.append(f"{where}: {str(error) or type(error).__name__}")

    def _note_result(self, errors):
        """Write on the rule when it was checked and what went wrong; tell of news only."""
        problem = "\n".join(errors) or False
        if problem and problem != self.last_error:
            self.message_post(
                body=plaintext2html(self.env._("Not everything could be checked:\n%s", problem)),
                partner_ids=self.user_id.partner_id.ids,
            )
        self.write({"last_run": fields.Datetime.now(), "last_error": problem, "pending": False})
