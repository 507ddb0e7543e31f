from markupsafe import Markup

from odoo import api, fields, models

from ..ingestion import cells, facts

PREVIEW_ROWS = 10
_TABLE = Markup('<table class="table table-sm"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>')
_ROW = Markup("<tr>{}</tr>")
_HEAD = Markup("<th>{}</th>")
_CELL = Markup('<td class="text-break">{}</td>')
_BADGE = Markup('<span class="badge text-bg-{}">{}</span> {}')
_COLORS = {"accepted": "success", "duplicate": "secondary", "quarantined": "warning"}
_SHOWN = ("id", "type", "subject", "time")


class UsageImport(models.Model):
    """The preview: what the first rows would become, judged by the pipeline, with nothing stored."""

    _inherit = "usage.import"

    preview_html = fields.Html(
        string="Preview",
        compute="_compute_preview_html",
        sanitize=False,
        help="What the first rows would become, if they were imported now.",
    )

    @api.depends(
        *("sample", "source_id", "decimal_sign", "time_format", "time_pattern", "tz", "column_ids.target"),
        *("column_ids.path", "column_ids.kind", "column_ids.constant"),
    )
    @api.depends_context("lang")
    def _compute_preview_html(self):
        for job in self:
            job.preview_html = job._preview() if job.sample and job.source_id and job.tz else False

    def _preview(self):
        columns = self._columns()
        if any(column.target == "data" and not all(column.path) for column in columns):
            return Markup("<p>%s</p>") % self.env._("Say for each column of data where its value goes.")
        rows = self._sample_rows()[:PREVIEW_ROWS]
        reading, seen = self._reading(), {}
        read = [cells.read_row(row, columns, reading) for row in rows]
        for event, _rejection in read:
            cells.give_id(event, seen)
        source = self.source_id._origin
        # sudo: judging reads settings and meters as the pipeline does; nothing is stored
        verdicts = self.env["usage.ingestion"].sudo()._dry_run(source._as_sender(), [event for event, _r in read])
        judged = [
            (event, ("rejected", trouble.message) if trouble else (verdict.outcome, verdict.message))
            for (event, trouble), verdict in zip(read, verdicts, strict=True)
        ]
        return self._preview_table(judged)

    def _preview_table(self, judged):
        """HTML of events with what would become of them: list of (event, (outcome, message))."""
        titles = (
            self.env._("What becomes of it"),
            self.env._("ID"),
            self.env._("Type"),
            self.env._("Account"),
            self.env._("Time (UTC)"),
            self.env._("Data"),
        )
        labels = dict(self.env["usage.import.row"]._fields["outcome"]._description_selection(self.env))
        rows = Markup().join(
            _ROW.format(Markup().join(map(_CELL.format, (self._badge(labels, *verdict), *self._preview_cells(event)))))
            for event, verdict in judged
        )
        return _TABLE.format(Markup().join(map(_HEAD.format, titles)), rows)

    def _badge(self, labels, outcome, message):
        return _BADGE.format(_COLORS.get(outcome, "danger"), labels[outcome], message)

    def _preview_cells(self, event):
        return [*(str(event.get(name, "")) for name in _SHOWN), facts.dump(event.get("data", {}))]
