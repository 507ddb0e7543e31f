from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL

# E-mail addresses there say nothing about a company.
FREE_MAIL_DOMAINS = [
    *("126.com", "163.com", "aol.com", "bluewin.ch", "comcast.net", "fastmail.com", "free.fr", "gmail.com"),
    *("gmx.at", "gmx.ch", "gmx.com", "gmx.de", "gmx.net", "googlemail.com", "hey.com", "hotmail.co.uk"),
    *("hotmail.com", "hotmail.de", "hotmail.fr", "hotmail.it", "icloud.com", "laposte.net", "libero.it"),
    *("live.com", "live.fr", "mac.com", "mail.com", "mail.ru", "me.com", "msn.com", "naver.com", "orange.fr"),
    *("outlook.com", "outlook.de", "outlook.fr", "pm.me", "proton.me", "protonmail.com", "qq.com", "rediffmail.com"),
    *("rocketmail.com", "seznam.cz", "sfr.fr", "skynet.be", "t-online.de", "telenet.be", "tutanota.com", "uol.com.br"),
    *("verizon.net", "wanadoo.fr", "web.de", "wp.pl", "yahoo.co.jp", "yahoo.co.uk", "yahoo.com", "yahoo.de"),
    *("yahoo.fr", "yahoo.it", "yandex.ru", "ymail.com", "zoho.com"),
]
# How much each reason speaks for a customer, of 100; less where several customers match by it.
SCORES = {"reference": 95, "vat": 90, "email": 80, "domain": 65, "name": 50}
AMBIGUOUS = 20
LATEST_EVENTS = 200  # of an account, whose tenants and users are looked at


class UsageAccountSuggestion(models.Model):
    """A customer whose an account may be, for a person to decide. Nothing is ever assigned by itself."""

    _name = "usage.account.suggestion"
    _description = "Suggested Customer of a Usage Account"
    _order = "score desc, account_id, id"
    _rec_name = "account_id"

    account_id = fields.Many2one("usage.account", required=True, readonly=True, index=True, ondelete="cascade")
    source_id = fields.Many2one(related="account_id.source_id", store=True, index=True)
    company_id = fields.Many2one("res.company", required=True, readonly=True, index=True)
    partner_id = fields.Many2one(
        "res.partner", string="Customer", required=True, readonly=True, index=True, ondelete="cascade"
    )
    reason = fields.Selection(
        [
            ("reference", "Same reference"),
            ("vat", "Same tax ID"),
            ("email", "Same e-mail address"),
            ("domain", "Same e-mail or web domain"),
            ("name", "Same name"),
        ],
        required=True,
        readonly=True,
        help="What the account and the customer have in common.",
    )
    hint = fields.Char(
        string="Found", readonly=True, help="The text that matched: of the account, or of its latest events."
    )
    score = fields.Integer(
        readonly=True, aggregator=None, help="How much speaks for it, of 100. Less where several customers match."
    )
    state = fields.Selection(
        [("open", "Open"), ("accepted", "Accepted"), ("dismissed", "Dismissed")],
        required=True,
        readonly=True,
        default="open",
        index=True,
        help="Dismissed suggestions are not made again.",
    )
    decided_by_id = fields.Many2one("res.users", readonly=True, help="Who accepted or dismissed it.")
    decided_date = fields.Datetime(string="Decided On", readonly=True, help="When that was (UTC).")
    event_count = fields.Integer(related="account_id.event_count")

    _pair_uniq = models.Constraint("UNIQUE(account_id, partner_id)", "This customer is suggested already.")

    # -- finding ----------------------------------------------------------------------------

    @api.model
    def _cron_suggest(self):
        self._suggest()

    @api.model
    def _suggest(self, accounts=None):
        """Look for customers of accounts that have none, of all when ``accounts`` is absent.

        In one statement, whatever the number of accounts and customers. Open suggestions that do not
        hold any more go, dismissed ones stay dismissed.
        """
        self.env.flush_all()
        self.env.cr.execute(
            SQL(
                """
                WITH waiting AS (%(waiting)s), hints AS (%(hints)s), partners AS (%(partners)s),
                matches AS (%(matches)s),
                found AS (
                    SELECT account_id, company_id, partner_id, reason, hint,
                        score - CASE WHEN count(*) OVER (PARTITION BY account_id, reason) > 1
                            THEN %(ambiguous)s ELSE 0 END AS score
                    FROM (
                        SELECT DISTINCT ON (account_id, partner_id) * FROM matches
                        ORDER BY account_id, partner_id, score DESC, hint
                    ) best
                ),
                gone AS (
                    DELETE FROM usage_account_suggestion s USING waiting w
                    WHERE s.account_id = w.id AND s.state = 'open' AND NOT EXISTS (
                        SELECT FROM found f WHERE f.account_id = s.account_id AND f.partner_id = s.partner_id
                    )
                )
                INSERT INTO usage_account_suggestion AS s (account_id, source_id, company_id, partner_id, reason, hint,
                    score, state, create_uid, write_uid, create_date, write_date)
                SELECT f.account_id, a.source_id, f.company_id, f.partner_id, f.reason, f.hint, f.score, 'open',
                    %(uid)s, %(uid)s, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC'
                FROM found f JOIN usage_account a ON a.id = f.account_id
                ORDER BY f.account_id, f.partner_id
                ON CONFLICT (account_id, partner_id) DO UPDATE
                SET reason = excluded.reason, hint = excluded.hint, score = excluded.score, state = 'open',
                    decided_by_id = NULL, decided_date = NULL
                WHERE s.state <> 'dismissed' AND (s.state, s.reason, s.hint, s.score)
                    IS DISTINCT FROM ('open', excluded.reason, excluded.hint, excluded.score)
                """,
                waiting=self._sql_waiting(accounts),
                hints=self._sql_hints(),
                partners=self._sql_partners(),
                matches=self._sql_matches(),
                ambiguous=AMBIGUOUS,
                uid=self.env.uid,
            )
        )
        self.invalidate_model()

    def _sql_waiting(self, accounts):
        return SQL(
            """
            SELECT id, company_id, external_id, name FROM usage_account
            WHERE partner_id IS NULL AND payer_id IS NULL AND active AND %s
            """,
            SQL("true") if accounts is None else SQL("id = ANY(%s)", accounts.ids),
        )

    def _sql_hints(self):
        """Texts that may name the customer of an account, in the forms in which they are compared.

        What users are called says nothing but by their e-mail addresses.
        """
        return SQL(
            """
            SELECT account_id, company_id, hint, is_user, lower(hint) AS text,
                upper(regexp_replace(hint, '[^A-Za-z0-9]', '', 'g')) AS code,
                coalesce(
                    substring(lower(hint) FROM '@([a-z0-9.-]+\\.[a-z]{2,})$'),
                    substring(lower(hint) FROM '^(?:https?://)?(?:www\\.)?((?:[a-z0-9-]+\\.)+[a-z]{2,})/?$')
                ) AS domain
            FROM (
                SELECT w.id AS account_id, w.company_id, trim(h.hint) AS hint, h.is_user
                FROM waiting w CROSS JOIN LATERAL (
                    SELECT w.external_id AS hint, false AS is_user
                    UNION SELECT w.name, false
                    UNION SELECT ref, is_user FROM (
                        SELECT tenant_ref, user_ref FROM usage_event e WHERE e.account_id = w.id
                        ORDER BY date_trunc('hour', e.time) DESC, e.time DESC LIMIT %s
                    ) latest CROSS JOIN LATERAL (VALUES (tenant_ref, false), (user_ref, true)) refs(ref, is_user)
                ) h
                WHERE trim(h.hint) <> ''
            ) texts
            """,
            LATEST_EVENTS,
        )

    def _sql_partners(self):
        """Customers as they are compared: of contacts the company, of our own companies none."""
        return SQL(
            """
            SELECT c.id AS partner_id, c.company_id, p.company_id AS own_company_id, lower(trim(p.ref)) AS ref,
                lower(trim(p.name)) AS name, upper(regexp_replace(p.vat, '[^A-Za-z0-9]', '', 'g')) AS vat,
                p.email_normalized AS email, split_part(p.email_normalized, '@', 2) AS mail_domain,
                substring(lower(p.website) FROM '^(?:https?://)?(?:www\\.)?([^/:?#]+)') AS web_domain
            FROM res_partner p JOIN res_partner c ON c.id = p.commercial_partner_id AND c.active
            WHERE p.active AND c.id NOT IN (SELECT partner_id FROM res_company)
            """
        )

    def _sql_matches(self):
        conditions = {
            "reference": SQL("NOT h.is_user AND p.ref = h.text"),
            "vat": SQL("NOT h.is_user AND length(h.code) >= 8 AND h.code ~ '[0-9]{4}' AND p.vat = h.code"),
            "email": SQL("h.text LIKE '%%@%%' AND p.email = h.text"),
            "name": SQL("NOT h.is_user AND p.name = h.text"),
        }
        company = SQL("h.domain <> ALL(%s)", FREE_MAIL_DOMAINS)
        by_domain = [
            SQL("%s AND p.%s = h.domain", company, SQL.identifier(name)) for name in ("mail_domain", "web_domain")
        ]
        pairs = [*conditions.items(), *(("domain", condition) for condition in by_domain)]
        selects = [
            SQL(
                """
                SELECT h.account_id, h.company_id, p.partner_id, %s::varchar AS reason, h.hint::varchar AS hint,
                    %s AS score
                FROM hints h JOIN partners p ON %s
                WHERE coalesce(p.company_id, h.company_id) = h.company_id
                    AND coalesce(p.own_company_id, h.company_id) = h.company_id
                """,
                reason,
                SCORES[reason],
                condition,
            )
            for reason, condition in pairs
        ]
        return SQL(" UNION ALL ").join(selects)

    # -- deciding ---------------------------------------------------------------------------

    def action_find(self):
        """Look for customers of all accounts that have none, now."""
        self.check_access("write")
        # sudo: one statement for all companies; everybody sees what is theirs
        self.sudo()._suggest()
        return self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_account_suggestion")

    def action_accept(self):
        """Assign the accounts to the suggested customers, for all time."""
        self._check_open()
        twice = [account for account, found in self.grouped("account_id").items() if len(found) > 1]
        if twice:
            raise UserError(
                self.env._(
                    "%s is suggested to more than one customer among these: choose one of them.",
                    twice[0].display_name,
                )
            )
        pairs = [(suggestion.account_id, suggestion.partner_id) for suggestion in self]
        self._decide("accepted")
        return self.env["usage.account.mapping"]._map(pairs)

    def action_dismiss(self):
        """Remember that these customers are not the accounts'."""
        self._check_open()
        self._decide("dismissed")

    def action_reopen(self):
        """Take back that suggestions were dismissed."""
        self.filtered(lambda suggestion: suggestion.state == "dismissed").write(
            {"state": "open", "decided_by_id": False, "decided_date": False}
        )

    def _check_open(self):
        self.check_access("write")
        if any(suggestion.state != "open" for suggestion in self):
            raise UserError(self.env._("Some of these were decided already: leave them out."))

    def _decide(self, state):
        self.write({"state": state, "decided_by_id": self.env.uid, "decided_date": fields.Datetime.now()})

    @api.model
    def _forget(self, accounts):
        """Drop what is open for accounts that have a customer now."""
        self.search([("account_id", "in", accounts.ids), ("state", "=", "open")]).unlink()


class UsageAccount(models.Model):
    _inherit = "usage.account"

    suggestion_ids = fields.One2many(
        "usage.account.suggestion", "account_id", string="Suggestions", domain=[("state", "=", "open")]
    )
    suggestion_count = fields.Integer(
        string="Suggested Customers", compute="_compute_suggestion_count", help="Customers whose the account may be."
    )

    @api.depends("suggestion_ids")
    def _compute_suggestion_count(self):
        for account in self:
            account.suggestion_count = len(account.suggestion_ids)

    def action_suggest(self):
        """Look for customers of these accounts, and show what was found for them."""
        self.check_access("write")
        self.env["usage.account.suggestion"]._suggest(self)
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_account_suggestion")
        return {**action, "domain": [("account_id", "in", self.ids)]}
