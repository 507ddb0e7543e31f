from odoo import api, fields, models
from odoo.fields import Command

from ..guard import unlocked
from ..tools import read_committed_cursor

AT_ONCE = 200  # exceptions replayed while the person waits; more are replayed in the background
BATCH_LINES = 200  # replayed in one transaction in the background
UNSETTLED = ("rejected", "conflict", "impossible", "failed")


class UsageReplay(models.Model):
    """Rejected events sent through the pipeline once more, some or thousands, with the result of each."""

    _name = "usage.replay"
    _description = "Replay of Usage Exceptions"
    _order = "id desc"
    _inherit = ["usage.guarded.mixin"]

    company_id = fields.Many2one("res.company", required=True, readonly=True, index=True)
    user_id = fields.Many2one("res.users", string="Replayed By", required=True, readonly=True)
    state = fields.Selection(
        [("running", "Running"), ("done", "Done")],
        required=True,
        readonly=True,
        default="running",
        index=True,
        help="Many are replayed in the background: you may leave the page.",
    )
    correction = fields.Char(readonly=True, help="What was corrected in the events; empty when they are as received.")
    line_ids = fields.One2many("usage.replay.line", "replay_id", string="Results", readonly=True)
    line_count = fields.Integer(string="Events", compute="_compute_counts")
    settled_count = fields.Integer(string="Settled", compute="_compute_counts", help="Stored, or known already.")
    unsettled_count = fields.Integer(string="Still Open", compute="_compute_counts", help="See the reason of each.")
    progress = fields.Float(compute="_compute_counts", help="Share of the events that had their turn, in percent.")

    @api.depends("line_ids.result")
    def _compute_counts(self):
        groups = self.env["usage.replay.line"]._read_group(
            [("replay_id", "in", self.ids)], ["replay_id", "result"], ["__count"]
        )
        for replay in self:
            counts = {result: count for record, result, count in groups if record == replay}
            replay.line_count = sum(counts.values())
            replay.unsettled_count = sum(counts.get(result, 0) for result in UNSETTLED)
            waiting = counts.get("waiting", 0)
            replay.settled_count = replay.line_count - replay.unsettled_count - waiting
            replay.progress = 100 * (1 - waiting / replay.line_count) if replay.line_count else 0

    @api.depends("user_id", "line_count")
    @api.depends_context("lang")
    def _compute_display_name(self):
        for replay in self:
            replay.display_name = self.env._("Replay %s", replay.id)

    # -- starting ---------------------------------------------------------------------------

    @api.model
    def _start(self, exceptions, payloads=None, correction=None, obstacles=None):
        """Replay exceptions: some at once, many in the background.

        :param payloads: dict of exception to the JSON text to send in place of the received one
        :param str correction: what was corrected, for the record
        :param obstacles: dict of exception to why it could not be corrected: it is not sent
        :return: the action that shows the results; False for a single one, whose own form tells it
        """
        exceptions.check_access("write")
        replays = self.browse()
        for company, some in exceptions.grouped("company_id").items():
            lines = [self._line_values(x, payloads or {}, obstacles or {}) for x in some]
            replays += self._create_replay(company, correction, lines)
        if len(exceptions) > AT_ONCE:
            # sudo: operators replay and have no rights to jobs
            self.env.ref("usage_connector_base.cron_replay").sudo()._trigger()
        else:
            replays._run()
        return len(exceptions) > 1 and replays._view_results()

    def _line_values(self, exception, payloads, obstacles):
        values = {"exception_id": exception.id, "payload": payloads.get(exception)}
        if exception in obstacles:
            values.update(result="impossible", message=obstacles[exception])
        return values

    def _create_replay(self, company, correction, lines):
        values = {"company_id": company.id, "user_id": self.env.uid, "correction": correction}
        # sudo: replays are made here alone; whoever may write exceptions may replay them
        replay = unlocked(self.sudo()).create({**values, "line_ids": [Command.create(line) for line in lines]})
        return self.browse(replay.id)

    def _view_results(self):
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_replay")
        if len(self) == 1:
            return {**action, "view_mode": "form", "views": [(False, "form")], "res_id": self.id}
        return {**action, "domain": [("id", "in", self.ids)]}

    # -- running ----------------------------------------------------------------------------

    def _run(self):
        """Replay all, in the current transaction."""
        for replay in self:
            while replay._step():
                pass

    @api.model
    def _cron_replay(self):
        """Go on with the replays that run, the oldest first, each batch in a transaction of its own."""
        commit = self.env["ir.cron"]._commit_progress
        running = self.search([("state", "=", "running")], order="id")
        commit(remaining=len(running))
        for replay in running:
            more = True
            while more:
                with read_committed_cursor(self.env) as cr:
                    more = replay.with_env(self.env(cr=cr))._step()
                if not commit(1, remaining=len(running)):
                    return
        commit(remaining=0)

    def _step(self):
        """Replay the next batch in the current transaction; the results are written with it.

        :return: whether there may be more
        """
        self.ensure_one()
        # sudo: results are written here alone; in the name of who began the replay
        lines = self.env["usage.replay.line"].with_user(self.user_id).sudo()
        some = lines.search([("replay_id", "=", self.id), ("result", "=", "waiting")], limit=BATCH_LINES)
        for of_source in some.grouped(lambda line: line.exception_id.source_id).values():
            of_source._replay()
        if not some:
            unlocked(self.sudo()).write({"state": "done"})
        return bool(some)

    def action_refresh(self):
        """Show how far the replay is by now."""
        return {"type": "ir.actions.client", "tag": "soft_reload"}

    def action_view_unsettled(self):
        """The exceptions that are still open."""
        action = self.env["ir.actions.act_window"]._for_xml_id("usage_connector_base.action_usage_exception")
        open_ones = self.line_ids.exception_id.filtered(lambda exception: exception.state == "open")
        return {**action, "domain": [("id", "in", open_ones.ids)], "context": {}}
