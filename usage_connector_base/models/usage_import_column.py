from odoo import api, fields, models
from odoo.exceptions import UserError

from ..ingestion.cells import Column
from .usage_meter_definition import PATH

TARGETS = [
    ("ignore", "Leave out"),
    ("id", "Event ID"),
    ("subject", "Account"),
    ("type", "Event Type"),
    ("time", "Time"),
    ("data", "Data"),
    ("tenant", "Tenant"),
    ("subscription", "Subscription"),
    ("user", "User"),
]
# Names of columns that people give what we ask for, in lower case without spaces and signs.
COMMON_NAMES = {
    "id": {"id", "eventid", "uuid", "transactionid", "requestid"},
    "subject": {"subject", "account", "accountid", "customer", "customerid", "tenant", "tenantid", "konto", "kunde"},
    "type": {"type", "eventtype", "event", "eventname", "typ"},
    "time": {"time", "timestamp", "date", "datetime", "day", "at", "zeit", "datum", "zeitpunkt", "uhrzeit"},
}


class UsageImportColumn(models.Model):
    _name = "usage.import.column"
    _description = "Column of a Usage File"
    _order = "sequence, id"

    import_id = fields.Many2one("usage.import", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="import_id.company_id", store=True, index=True)
    sequence = fields.Integer(default=1000)
    position = fields.Integer(
        default=-1, readonly=True, help="Place of the column in the file, from 0; -1 for a text that the file lacks."
    )
    name = fields.Char(string="Column", readonly=True, help="What the file calls the column.")
    example = fields.Char(readonly=True, help="The first values of the column.")
    target = fields.Selection(
        TARGETS,
        string="Becomes",
        required=True,
        default="ignore",
        help="The part of the event that the column holds. Two columns may hold the time: the day and the time of day.",
    )
    path = fields.Char(
        help="Where the value stands in the event's data: a name, or names joined by points, such as tokens.input.",
    )
    kind = fields.Selection(
        [("text", "Text"), ("number", "Number")],
        default="text",
        required=True,
        help="A number is read exactly; a cell that is none is rejected.",
    )
    constant = fields.Char(string="Same for Every Row", help="The text that every row gets, of what the file lacks.")

    @api.model_create_multi
    def create(self, vals_list):
        columns = super().create(vals_list)
        columns._check_not_begun()
        return columns

    def write(self, vals):
        self._check_not_begun()
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _check_not_begun(self):
        """What the columns became stays as it was when the import began."""
        if any(job.state not in ("draft", "mapping") for job in self.import_id):
            raise UserError(self.env._("The import has begun: import the file once more to read it another way."))

    def _label(self):
        return self.name or self.constant or self.target

    def _as_column(self):
        """The column as plain values: :class:`~..ingestion.cells.Column`."""
        self.ensure_one()
        is_data = self.target == "data"
        return Column(
            label=self._label(),
            index=self.position if self.position >= 0 else None,
            target=self.target,
            path=tuple((self.path or "").split(".")) if is_data else (),
            is_number=is_data and self.kind == "number",
            constant=self.constant or "",
        )

    def _check_path(self):
        for column in self:
            if not PATH.fullmatch(column.path or ""):
                message = self.env._(
                    "Column %(column)s: %(path)s is no path: use names of letters, digits, _ and -, joined by points.",
                    column=column._label(),
                    path=column.path or "-",
                )
                raise UserError(message)
