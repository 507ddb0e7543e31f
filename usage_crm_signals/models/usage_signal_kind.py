"""What every kind of signal has in common. One kind is one model of this family."""

from decimal import Decimal

from markupsafe import Markup

from odoo import models
from odoo.tools import format_date

from odoo.addons.usage_billing.numbers import format_number


class UsageSignalKind(models.AbstractModel):
    """A reason to call a customer, and how to find it in the usage.

    To add a kind, say ``first_usage``:

    1. add ``first_usage`` to the selection of ``usage.signal.rule.kind``;
    2. inherit this model under the name ``usage.signal.kind.first_usage`` and write
       :meth:`_detect`, :meth:`_summary` and :meth:`_evidence_lines`;
    3. if something is to happen by itself, add an automation rule "On create" of
       ``usage.signal`` for that kind (see ``data/base_automation.xml``).

    Idempotence, failures, companies, screens and access rights are taken care of by
    ``usage.signal.rule`` and ``usage.signal`` and need nothing from the kind.
    """

    _name = "usage.signal.kind"
    _description = "Kind of Usage Signal"

    _default_percentage = 0.0

    def _detect(self, rule, at):
        """Find the facts that call for a person, in the company ``self.env.company``.

        Finding the same fact twice is fine: what was raised before is left out later.

        :param rule: one ``usage.signal.rule`` with the settings to apply
        :param datetime at: the moment to look at (naive UTC)
        :return: values of ``usage.signal``, a dict a fact: ``partner_id``, ``meter_id``,
            ``period_start`` and ``period_end`` (naive UTC; together with rule and
            ``subscription_line_id`` they tell one fact from the next), ``value`` and
            ``reference_value`` (quantities), ``evidence`` (data for JSON, numbers as
            strings), and any other field of the signal
        :rtype: list[dict]
        """
        raise NotImplementedError

    def _enrich(self, rule, at, vals):
        """Complete the values of one fact, once it is known to be new.

        The place for what takes long or may fail: a failure here costs this signal only,
        which is tried again at the next check.

        :param dict vals: one of those that :meth:`_detect` returned
        :return: all values of the signal
        :rtype: dict
        """
        return vals

    def _summary(self, evidence):
        """Say in one line, in the language of the environment, what happened.

        :param dict evidence: what :meth:`_detect` put there
        :rtype: str
        """
        raise NotImplementedError

    def _evidence_lines(self, evidence):
        """Explain the evidence to a person, in the language of the environment.

        :param dict evidence: what :meth:`_detect` put there
        :return: pairs of label and text
        :rtype: list[tuple[str, str]]
        """
        raise NotImplementedError

    def _render(self, evidence):
        """Return the evidence as an HTML table (Markup) for a person to read."""
        row = Markup("<tr><td>%s</td><td>%s</td></tr>")
        rows = Markup().join(row % line for line in self._evidence_lines(evidence))
        return Markup('<table class="table table-sm o_usage_evidence">%s</table>') % rows

    def _format_quantity(self, text, unit=""):
        """Return a quantity for people: ``"1234.50"`` becomes ``1,234.5 token``.

        :param str text: decimal number; every digit before the point is kept, whatever
            the size, and at most two after it
        :param str unit: unit name, appended when there is one
        """
        return f"{format_number(self.env, round(Decimal(text), 2))} {unit or ''}".rstrip()

    def _format_percentage(self, text):
        """Return ``"80.00"`` as ``80 %``, rounded to one digit after the point."""
        return f"{format_number(self.env, round(Decimal(text), 1))} %"

    def _format_days(self, first, last):
        """Return a range of days as the reader's language writes it.

        :param first: date or ISO text of the first day
        :param last: the same of the last day, which is part of the range
        """
        return self.env._("%(first)s to %(last)s", first=format_date(self.env, first), last=format_date(self.env, last))
