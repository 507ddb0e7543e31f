from odoo import api, fields, models

from .usage_exception import exception_digest
from .usage_import_column import TARGETS

REMEMBERED = ("decimal_sign", "time_format", "time_pattern", "tz")  # of usage.import, beside its columns


class UsageImportMapping(models.Model):
    """How the columns of a source's files were matched: the next file with the same columns needs no hand."""

    _name = "usage.import.mapping"
    _description = "Remembered Columns of Usage Files"
    _order = "write_date desc, id desc"
    _rec_name = "header"

    source_id = fields.Many2one("usage.source", required=True, readonly=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="source_id.company_id", store=True, index=True)
    header = fields.Char(string="Columns of the File", required=True, readonly=True)
    digest = fields.Char(required=True, readonly=True, help="Of the header: files with the same one share a mapping.")
    columns = fields.Json(string="Columns (JSON)", required=True, readonly=True)
    settings = fields.Json(string="Settings (JSON)", required=True, readonly=True)
    description = fields.Text(
        string="Become", compute="_compute_description", help="What each column of the file becomes."
    )

    _header_uniq = models.Constraint(
        "UNIQUE(source_id, digest)", "The columns of these files are remembered already for this source."
    )

    @api.depends("columns")
    @api.depends_context("lang")
    def _compute_description(self):
        targets = dict(self.env["usage.import.column"]._fields["target"]._description_selection(self.env))
        for mapping in self:
            mapping.description = "\n".join(
                f"{column['name'] or column['constant']} → {targets[column['target']]} {column['path'] or ''}".strip()
                for column in mapping.columns or []
                if column["target"] != TARGETS[0][0]
            )

    @api.model
    def _digest_of(self, names):
        """What files with the same columns share, upper and lower case alike."""
        return exception_digest(*[name.strip().casefold() for name in names])

    @api.model
    def _find(self, source, names):
        """The mapping of a source's files with these columns, empty when there was none yet."""
        return self.search([("source_id", "=", source.id), ("digest", "=", self._digest_of(names))])

    @api.model
    def _remember(self, source, names, columns, settings):
        """Keep how files with these columns were matched, in place of how they were before.

        :param list columns: dicts of name, target, path, kind and constant
        :param dict settings: values of ``REMEMBERED``
        """
        values = {"header": ", ".join(names)[:1000], "columns": columns, "settings": settings}
        # sudo: people may forget a mapping; writing one is for an import that begins
        known = self._find(source, names).sudo()
        if known:
            known.write(values)
        else:
            self.sudo().create({**values, "source_id": source.id, "digest": self._digest_of(names)})
