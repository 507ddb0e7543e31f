from datetime import datetime

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import SQL, format_datetime

from ..guard import is_unlocked, unlocked


class UsageAccountAssignment(models.Model):
    """A customer whose an account is, for all time or from one hour until another.

    What follows from assignments, such as ``usage.account.partner_id``, is brought up to date by
    ``usage.account._follow``. Code that changes several at once does so on ``guard.unlocked``
    records and calls it in the end.
    """

    _name = "usage.account.assignment"
    _description = "Assignment of a Usage Account"
    _order = "account_id, date_from desc NULLS LAST, id desc"
    _check_company_auto = True

    account_id = fields.Many2one("usage.account", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="account_id.company_id", store=True, index=True)
    partner_id = fields.Many2one(
        "res.partner",
        string="Customer",
        required=True,
        index=True,
        check_company=True,
        ondelete="restrict",
        help="Whose usage it is in this time.",
    )
    commercial_partner_id = fields.Many2one(
        related="partner_id.commercial_partner_id", string="Company of the Customer", store=True, index=True
    )
    date_from = fields.Datetime(string="From", help="First hour of the customer's usage; empty: from the beginning.")
    date_to = fields.Datetime(string="Until", help="Hour at which it ends, not included; empty: it does not end.")
    create_uid = fields.Many2one("res.users", string="Assigned By", readonly=True)
    create_date = fields.Datetime(string="Assigned On", readonly=True)

    _date_order = models.Constraint(
        "CHECK(date_to IS NULL OR date_from IS NULL OR date_to > date_from)",
        "An assignment ends after it begins: choose a later 'Until'.",
    )

    def init(self):
        """Accounts that had a customer before there were assignments have one for all time."""
        self.env.cr.execute(
            SQL(
                """
                INSERT INTO usage_account_assignment (account_id, company_id, partner_id, commercial_partner_id,
                    create_uid, write_uid, create_date, write_date)
                SELECT id, company_id, partner_id, commercial_partner_id,
                    write_uid, write_uid, write_date, write_date
                FROM usage_account a
                WHERE partner_id IS NOT NULL AND payer_id IS NULL
                    AND NOT EXISTS (SELECT FROM usage_account_assignment s WHERE s.account_id = a.id)
                """
            )
        )

    @api.depends("partner_id", "date_from", "date_to")
    @api.depends_context("lang", "tz")
    def _compute_display_name(self):
        for assignment in self:
            assignment.display_name = assignment.env._(
                "%(customer)s, %(time)s", customer=assignment.partner_id.display_name, time=assignment._time_label()
            )

    def _time_label(self):
        """When the assignment applies, in words and in the reader's time zone."""
        moments = {
            name: format_datetime(self.env, self[name], dt_format="short")
            for name in ("date_from", "date_to")
            if self[name]
        }
        if not moments:
            return self.env._("for all time")
        if len(moments) == 2:
            return self.env._("from %(date_from)s until %(date_to)s", **moments)
        if self.date_from:
            return self.env._("from %s", moments["date_from"])
        return self.env._("until %s", moments["date_to"])

    # -- what may be assigned ---------------------------------------------------------------

    @api.constrains("date_from", "date_to")
    def _check_hours(self):
        for assignment in self:
            for moment in (assignment.date_from, assignment.date_to):
                if moment and (moment.minute or moment.second):
                    raise ValidationError(
                        self.env._(
                            "Usage is counted by the hour of UTC: choose a full one for %(account)s. %(time)s is "
                            "%(utc)s UTC.",
                            account=assignment.account_id.display_name,
                            time=format_datetime(self.env, moment, dt_format="short"),
                            utc=moment.strftime("%H:%M"),
                        )
                    )

    @api.constrains("account_id", "date_from", "date_to")
    def _check_no_overlap(self):
        self.flush_model()
        query = SQL(
            """
            SELECT a.id, b.id FROM usage_account_assignment a
            JOIN usage_account_assignment b ON b.account_id = a.account_id AND b.id > a.id
                AND tsrange(b.date_from, b.date_to) && tsrange(a.date_from, a.date_to)
            WHERE a.account_id = ANY(%s) LIMIT 1
            """,
            self.account_id.ids,
        )
        for one, other in self.env.execute_query(query):
            one, other = self.browse(one), self.browse(other)
            raise ValidationError(
                self.env._(
                    "%(account)s cannot belong to two customers at once: %(one)s; %(other)s. End the one where "
                    "the other begins.",
                    account=one.account_id.display_name,
                    one=one.display_name,
                    other=other.display_name,
                )
            )

    # -- changing ---------------------------------------------------------------------------

    def _make_room(self, date_from, date_to):
        """Leave [date_from, date_to) to another assignment: end where it begins, go on where it ends.

        :raises UserError: one lies wholly inside
        """
        begin, end = date_from or datetime.min, date_to or datetime.max
        for assignment in self:
            own_begin, own_end = assignment.date_from or datetime.min, assignment.date_to or datetime.max
            if own_end <= begin or end <= own_begin:
                continue
            if begin <= own_begin and own_end <= end:
                raise UserError(
                    self.env._(
                        "%(account)s belongs to %(assignment)s, which lies within the chosen time: choose other "
                        "dates, or remove that assignment first.",
                        account=assignment.account_id.display_name,
                        assignment=assignment.display_name,
                    )
                )
            if own_begin < begin:
                rest = {name: assignment[name].id for name in ("account_id", "partner_id")}
                rest |= {"date_from": date_to, "date_to": assignment.date_to}
                unlocked(assignment).write({"date_to": date_from})
                if end < own_end:
                    unlocked(self).create([rest])
            else:
                unlocked(assignment).write({"date_from": date_to})

    @api.model_create_multi
    def create(self, vals_list):
        accounts = self.env["usage.account"].browse({vals.get("account_id") for vals in vals_list} - {None, False})
        accounts._check_own_customer()
        accounts._lock_assignments()
        assignments = super().create(vals_list)
        assignments._changed(self.env._("Assigned: %s"))
        return assignments

    def write(self, vals):
        """Change customer or time; the account stays."""
        if any(vals.get("account_id", assignment.account_id.id) != assignment.account_id.id for assignment in self):
            raise UserError(self.env._("An assignment stays with its account: make another one there."))
        self.account_id._lock_assignments()
        res = super().write(vals)
        self._changed(self.env._("Assignment changed: %s"))
        return res

    def unlink(self):
        accounts = self.account_id
        accounts._lock_assignments()
        self._note(self.env._("Assignment removed: %s"))
        res = super().unlink()
        if not is_unlocked(self.env):
            accounts._follow()
        return res

    def _changed(self, note):
        self._note(note)
        if not is_unlocked(self.env):
            self.account_id._follow()

    def _note(self, text):
        """Keep in the history of their accounts what became of dated assignments.

        The customer itself is tracked there already.
        """
        for _number, one_each in self._one_per_account():
            self.env["usage.account"].browse(one_each.account_id.ids)._message_log_batch(
                {assignment.account_id.id: text % assignment.display_name for assignment in one_each}
            )

    def _one_per_account(self):
        """Dated assignments in rounds of one per account, as (number, records)."""
        rounds, seen = {}, {}
        for assignment in self.filtered(lambda assignment: assignment.date_from or assignment.date_to):
            number = seen[assignment.account_id] = seen.get(assignment.account_id, 0) + 1
            rounds[number] = rounds.get(number, self.browse()) | assignment
        return rounds.items()
