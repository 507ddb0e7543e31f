import ipaddress
import re

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import SQL

SECONDS = {"second": 1, "minute": 60}
BURST_SECONDS = 60  # of the rate may come at once, where no burst is set

# What each source may send at this moment, shared by all processes. Written with every request of a
# source that has a limit: unlogged, since a crash may well give everyone a full bucket.
BUCKETS = """
CREATE UNLOGGED TABLE IF NOT EXISTS usage_source_bucket (
    source_id integer PRIMARY KEY REFERENCES usage_source ON DELETE CASCADE,
    tokens double precision NOT NULL,
    filled_at timestamptz NOT NULL
) WITH (fillfactor = 50)
"""


class UsageSource(models.Model):
    """How much a source may send, and from where."""

    _inherit = "usage.source"

    rate_limit = fields.Integer(
        tracking=True,
        copy=False,
        help="Events that the source may send in each second or minute, on average; 0: as many as it likes. "
        "What lies beyond is refused with 429, for the sender to try again later.",
    )
    rate_unit = fields.Selection(
        [("second", "a Second"), ("minute", "a Minute")],
        required=True,
        default="second",
        tracking=True,
        copy=False,
        help="The time in which the source may send as many events.",
    )
    rate_burst = fields.Integer(
        string="Burst",
        tracking=True,
        copy=False,
        help="Events that may come at once after a pause; 0: those of one minute. A larger request is taken after "
        "a pause too, and the source then waits until its rate has made up for it.",
    )
    allowed_networks = fields.Text(
        tracking=True,
        copy=False,
        help="Addresses and networks that the source may send from, such as 203.0.113.7 or 2001:db8::/32, "
        "one on each line; empty: from everywhere.",
    )

    _rate_limit = models.Constraint("CHECK(rate_limit >= 0 AND rate_burst >= 0)", "Rate and burst are 0 or more.")

    def init(self):
        res = super().init()
        self.env.cr.execute(BUCKETS)
        return res

    @api.constrains("allowed_networks")
    def _check_networks(self):
        for source in self:
            source._networks()

    def _networks(self):
        """The networks that may send, as a tuple; () when all may.

        :raises ValidationError: one of them is no network
        """
        return tuple(self._network(text) for text in re.split(r"[\s,;]+", self.allowed_networks or "") if text)

    def _network(self, text):
        try:
            return ipaddress.ip_network(text)
        except ValueError as exc:
            raise ValidationError(
                self.env._("%s is no address or network: write one such as 203.0.113.7 or 203.0.113.0/24.", text)
            ) from exc

    def _rate(self):
        """Events a second that the source may send, 0 without a limit."""
        return self.rate_limit / SECONDS[self.rate_unit]

    def _burst(self):
        return self.rate_burst or max(1, round(self._rate() * BURST_SECONDS))

    @api.model
    def _take(self, sender, count):
        """Take events off what the sender may send at this moment.

        A bucket that is refilled at the sender's rate, up to its burst. A request larger than the
        burst is taken when the bucket is full, and leaves it in debt, so that the rate holds.
        An empty request counts as one event.

        :param sender: :class:`~.usage_source.Sender` with a rate
        :param int count: events of the request
        :return: 0 when they are taken, otherwise the whole seconds after which to try again
        """
        values = {
            "source": sender.source_id,
            "rate": sender.rate,
            "burst": sender.burst,
            "count": max(count, 1),
            "needed": min(max(count, 1), sender.burst),
        }
        taken = self.env.execute_query(
            SQL(
                """
                INSERT INTO usage_source_bucket AS b (source_id, tokens, filled_at)
                VALUES (%(source)s, %(burst)s - %(count)s, clock_timestamp())
                ON CONFLICT (source_id) DO UPDATE
                SET tokens = %(level)s - %(count)s, filled_at = greatest(b.filled_at, excluded.filled_at)
                WHERE %(level)s >= %(needed)s
                RETURNING 1
                """,
                level=_sql_level(sender, SQL("excluded.filled_at")),
                **values,
            )
        )
        return 0 if taken else self._seconds_until(sender, values["needed"])

    def _seconds_until(self, sender, needed):
        query = SQL(
            "SELECT greatest(ceil((%s - %s) / %s), 1)::int FROM usage_source_bucket b WHERE source_id = %s",
            needed,
            _sql_level(sender, SQL("clock_timestamp()")),
            sender.rate,
            sender.source_id,
        )
        [[seconds]] = self.env.execute_query(query)
        return seconds


def _sql_level(sender, now):
    """What the bucket ``b`` holds at a moment; clocks of others may have gone on already."""
    return SQL(
        "least(%s, b.tokens + %s * greatest(extract(epoch FROM %s - b.filled_at), 0)::float)",
        sender.burst,
        sender.rate,
        now,
    )
