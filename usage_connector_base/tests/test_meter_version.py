from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Command
from odoo.tests import freeze_time, tagged

from .common import EVENT_TYPE, UsageCommon

HOUR = timedelta(hours=1)


class VersionCommon(UsageCommon):
    """A meter that has counted 5 tokens and 2 cached ones, in the hour."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ingest([cls.event("first", data={"tokens": 5, "cached": 2, "model": "large"})])
        cls.fold()

    def propose(self, person=None, **values):
        """A draft of an administrator, with values."""
        draft = self.meter.version_ids.with_user(person or self.admin)._propose(self.meter._definitions()[-1:])
        draft.write(values)
        return draft

    def submitted(self, **values):
        """A version that waits, as the second administrator sees it."""
        version = self.propose(**values)
        version.action_submit()
        return version.with_user(self.second_admin)

    def quantities(self, meter=None):
        """Quantity by hour."""
        return {hour: quantity for (_account, hour, _dims), (quantity, _n) in self.figures(meter).items()}


@tagged("post_install", "-at_install")
class TestFirstVersion(UsageCommon):
    """Until something is counted, a meter is changed as it stands."""

    def test_a_new_meter_has_one(self):
        version = self.meter.version_ids
        self.assertEqual((version.number, version.state, version.valid_from), (1, "approved", False))
        self.assertEqual(version._period(), (None, None))
        self.assertEqual((version.event_type, version.aggregation, version.value_path), (EVENT_TYPE, "sum", "tokens"))
        self.assertEqual(version._dimension_names(), ["model"])
        self.assertEqual(version.company_id, self.company)
        self.assertEqual(self.meter._definitions(), version)

    def test_it_follows_the_meter(self):
        self.meter.write(
            {"value_path": "cached", "filter_ids": [Command.create({"path": "model", "value_list": "a, b"})]}
        )
        self.meter.filter_ids.value_list = "b, c"
        version = self.meter.version_ids
        self.assertEqual(version.value_path, "cached")
        self.assertEqual(version.filter_ids.value_list, "b, c")
        self.assertFalse(version._differences(self.meter))
        self.meter.filter_ids.unlink()
        self.assertFalse(version.filter_ids)

    def test_a_copy_of_a_meter_has_its_own(self):
        self.meter.filter_ids = [Command.create({"path": "model", "operator": "set"})]
        copy = self.meter.copy({"code": "copy"})
        self.assertEqual(copy.version_ids.mapped("number"), [1])
        self.assertEqual(copy.version_ids.filter_ids.path, "model")
        self.assertFalse(copy.version_ids.filter_ids & self.meter.version_ids.filter_ids)

    def test_meters_from_before_there_were_versions(self):
        self.env["usage.meter.version"].flush_model()
        self.env.cr.execute("DELETE FROM usage_meter_version WHERE meter_id = %s", [self.meter.id])
        self.env.invalidate_all()
        self.env["usage.meter"].init()
        version = self.meter.version_ids
        self.assertEqual((version.number, version.state, version.company_id), (1, "approved", self.company))
        self.assertFalse(version._differences(self.meter))
        self.env["usage.meter"].init()
        self.env.invalidate_all()
        self.assertEqual(self.meter.version_ids, version)

    def test_definitions_that_cannot_be(self):
        gram, hour = self.env.ref("uom.product_uom_gram").id, self.env.ref("uom.product_uom_hour").id
        for values, message in (
            ({"aggregation": "unique_count", "value_path": False}, "say where"),
            ({"convert_from_id": gram}, "both units"),
            ({"convert_from_id": gram, "convert_to_id": hour}, "no reference unit in common"),
            ({"convert_from_id": gram, "convert_to_id": gram, "aggregation": "count"}, "Nothing is converted"),
            ({"rounding_step": "0.01"}, "which way"),
            ({"rounding_method": "up"}, "to what"),
            *(
                ({"rounding_step": step, "rounding_method": "up"}, "write a number above 0")
                for step in ("x", "0", "-1", "NaN", "Infinity", "1e18", "1e-19")
            ),
            ({"filter_ids": [Command.create({"path": "a b", "operator": "set"})]}, "no path"),
            ({"filter_ids": [Command.create({"path": "a", "value_list": " , "})]}, "list the values"),
        ):
            with self.subTest(values), self.assertRaisesRegex(ValidationError, message), self.cr.savepoint():
                self.meter.write(values)


@tagged("post_install", "-at_install")
class TestProposing(VersionCommon):
    def test_a_meter_that_counted_is_not_changed_directly(self):
        filters = {"filter_ids": [Command.create({"path": "model", "operator": "set"})]}
        for values in ({"value_path": "x"}, {"event_type": "x"}, {"aggregation": "count"}, {"dimensions": ""}, filters):
            for user in (self.admin, self.env.user):
                with self.subTest(values), self.assertRaisesRegex(UserError, "choose Change"), self.cr.savepoint():
                    self.meter.with_user(user).write(values)
        with self.assertRaisesRegex(UserError, "choose Change"):
            self.env["usage.meter.filter"].create({"meter_id": self.meter.id, "path": "a", "operator": "set"})
        with self.assertRaisesRegex(UserError, "other company"):
            self.meter.company_id = self.env["res.company"].create({"name": "Other"})
        self.meter.write({"name": "Renamed", "unit_name": "token", "note": "Why"})

    def test_archiving_is_no_way_round(self):
        self.meter.active = False
        self.fold()
        with self.assertRaisesRegex(UserError, "choose Change"):
            self.meter.value_path = "cached"
        with self.assertRaisesRegex(UserError, "found out"):
            self.meter.with_user(self.admin).has_counted = False

    def test_change_opens_a_draft_of_the_same(self):
        action = self.meter.with_user(self.admin).action_change()
        draft = self.env[action["res_model"]].browse(action["res_id"])
        self.assertEqual((draft.number, draft.state, draft.prepared_by_id), (2, "draft", self.admin))
        self.assertFalse(draft._differences(self.meter.version_ids - draft))
        self.assertGreater(draft.valid_from, fields.Datetime.now())
        self.assertEqual(self.meter.waiting_version_id, draft)
        self.assertEqual(self.meter.with_user(self.second_admin).action_change()["res_id"], draft.id, "the same one")
        self.assertEqual(self.meter.version_count, 2)

    def test_one_at_a_time(self):
        self.propose()
        with self.assertRaisesRegex(UserError, "waits already"):
            self.meter._definitions().with_user(self.admin).action_propose_copy()

    def test_a_draft_changes_nothing(self):
        self.propose(value_path="cached", valid_from=False)
        self.assertFalse(self.meter.recount_pending)
        self.assertEqual(self.meter.value_path, "tokens")
        self.assertEqual(self.meter._definitions().mapped("number"), [1])

    def test_nothing_to_submit(self):
        with self.assertRaisesRegex(UserError, "changes nothing"):
            self.propose().action_submit()

    def test_it_begins_on_the_hour(self):
        draft = self.propose()
        with self.assertRaisesRegex(ValidationError, "on the hour"):
            draft.valid_from = self.hour + timedelta(minutes=30)

    def test_submitting_tells_the_others(self):
        version = self.submitted(value_path="cached")
        people = version.activity_ids.user_id
        self.assertIn(self.second_admin, people)
        self.assertFalse(people & (self.admin | self.operator | self.viewer | self.source.user_id))
        version.action_approve()
        self.assertFalse(version.activity_ids)

    def test_submitted_ones_stay_as_they_are(self):
        version = self.submitted(value_path="cached", filter_ids=[Command.create({"path": "model", "operator": "set"})])
        for values in ({"value_path": "x"}, {"valid_from": False}, {"reason": "x"}, {"replaces_later": True}):
            with self.subTest(values), self.assertRaisesRegex(UserError, "no draft any more"):
                version.write(values)
        with self.assertRaisesRegex(UserError, "no draft any more"):
            version.filter_ids.value_list = "x"
        with self.assertRaisesRegex(UserError, "no draft any more"):
            version.filter_ids.unlink()
        with self.assertRaisesRegex(UserError, "no draft any more"):
            self.env["usage.meter.filter"].create({"version_id": version.id, "path": "a", "operator": "set"})

    def test_difference(self):
        version = self.propose(value_path="cached")
        self.assertEqual(version._differences(version.compared_to_id), ["value_path"])
        self.assertIn("<td>tokens</td><td>cached</td>", version.difference)
        version.filter_ids = [Command.create({"path": "model", "operator": "not_in", "value_list": "<b>, y"})]
        self.assertIn("model is none of &lt;b&gt;, y", version.difference)

    def test_effect(self):
        """What the stored events would count, by account, under both."""
        other = self._account("other", self.customer)
        self.ingest([self.event("second", subject="other", data={"tokens": 1, "cached": 100, "model": "small"})])
        version = self.propose(value_path="cached")
        before, after = version._effect()
        self.assertEqual({key: str(value) for key, value in before.items()}, {self.account.id: "5", other.id: "1"})
        self.assertEqual({key: str(value) for key, value in after.items()}, {self.account.id: "2", other.id: "100"})
        version.action_submit()
        self.assertTrue(version.effect_date)
        self.assertIn("<td>All accounts</td><td>6</td><td>102</td><td>+96</td>", version.effect)
        self.assertLess(version.effect.index("other"), version.effect.index("acme"), "the greatest difference first")

    def test_effect_of_everything(self):
        """Every aggregation, filters and conversions are what the effect counts by."""
        self.ingest([self.event("second", time=self.time(10), data={"tokens": 9, "model": "small"})])
        small = [Command.create({"path": "model", "value_list": "small"})]
        gram, kilogram = self.env.ref("uom.product_uom_gram"), self.env.ref("uom.product_uom_kgm")
        for values, quantity in (
            ({"aggregation": "count"}, "2"),
            ({"aggregation": "min"}, "5"),
            ({"aggregation": "max"}, "9"),
            ({"aggregation": "average"}, "7"),
            ({"aggregation": "latest"}, "9"),
            ({"aggregation": "unique_count", "value_path": "model"}, "2"),
            ({"filter_ids": small}, "9"),
            ({"convert_from_id": gram.id, "convert_to_id": kilogram.id}, "0.014"),
            (
                {
                    "convert_from_id": gram.id,
                    "convert_to_id": kilogram.id,
                    "rounding_step": "0.01",
                    "rounding_method": "up",
                },
                "0.02",
            ),
        ):
            with self.subTest(values):
                version = self.propose(**values)
                _before, after = version._effect()
                self.assertEqual(str(after[self.account.id]), quantity)
                version.action_withdraw()

    def test_warning(self):
        version = self.propose(valid_from=self.hour)
        self.assertIn("those that were submitted stay", version.warning)
        version.valid_from = fields.Datetime.now().replace(minute=0, second=0) + 2 * HOUR
        self.assertFalse(version.warning)
        version.valid_from = False
        self.assertIn("of all times", version.warning)


@tagged("post_install", "-at_install")
class TestApproving(VersionCommon):
    def test_never_by_who_prepared_it(self):
        version = self.submitted(value_path="cached").with_user(self.admin)
        for records in (version, version.sudo(), version.with_context(usage_guard=True)):
            with self.assertRaisesRegex(UserError, "second administrator"):
                records.action_approve()
        with self.assertRaisesRegex(UserError, "Only a Usage Administrator"):
            version.with_user(self.operator).sudo().action_approve()

    def test_nor_by_who_changed_it_last(self):
        draft = self.propose(value_path="cached")
        draft.with_user(self.second_admin).filter_ids = [Command.create({"path": "model", "operator": "set"})]
        self.assertEqual(draft.prepared_by_id, self.second_admin)
        draft.with_user(self.second_admin).action_submit()
        with self.assertRaisesRegex(UserError, "second administrator"):
            draft.with_user(self.second_admin).action_approve()
        draft.with_user(self.admin).action_approve()
        self.assertEqual((draft.state, draft.approved_by_id), ("approved", self.admin))

    def test_state_is_no_field_to_write(self):
        version = self.submitted(value_path="cached")
        for values in (
            {"state": "approved"},
            {"prepared_by_id": self.operator.id},
            {"approved_by_id": self.second_admin.id},
            {"number": 9},
            {"meter_id": self._meter("other").id},
            {"effect": "<b>none</b>"},
        ):
            for records in (version, version.sudo()):
                with self.subTest(values), self.assertRaisesRegex(UserError, "Use the buttons"):
                    records.write(values)
        with self.assertRaisesRegex(UserError, "choose Change|Choose Change"):
            version.create({"meter_id": self.meter.id, "number": 7, "state": "approved", "event_type": "x"})
        with self.assertRaisesRegex(UserError, "stay"):
            version.sudo().unlink()
        with self.assertRaisesRegex(UserError, "no draft|not to be decided"):
            version.action_submit()

    def test_others_have_no_say(self):
        version = self.submitted(value_path="cached")
        for person in (self.viewer, self.operator):
            for method in ("action_approve", "action_withdraw", "action_submit", "action_propose_copy"):
                with self.subTest(method, person=person.login), self.assertRaises(UserError):
                    getattr(version.with_user(person), method)()
        with self.assertRaises(AccessError):
            version.with_user(self.source.user_id).read(["state"])
        self.assertEqual(version.state, "to_approve")
        version.action_withdraw()
        for person in (self.viewer, self.operator):
            with self.assertRaises(UserError):
                self.meter.with_user(person).action_change()

    def test_foreign_company(self):
        other = self.env["res.company"].create({"name": "Other"})
        stranger = self._person(
            "stranger", "group_usage_admin", company_id=other.id, company_ids=[Command.set(other.ids)]
        )
        version = self.submitted(value_path="cached")
        self.assertNotIn(stranger, version.activity_ids.user_id)
        with self.assertRaises(AccessError):
            version.with_user(stranger).action_approve()

    def test_approved(self):
        version = self.submitted(value_path="cached", valid_from=False, replaces_later=True, reason="Only cached ones")
        version.action_approve()
        first = self.meter.version_ids - version
        self.assertEqual((version.state, first.state), ("approved", "superseded"))
        self.assertEqual((version.approved_by_id, version.prepared_by_id), (self.second_admin, self.admin))
        self.assertEqual(self.meter.value_path, "cached")
        self.assertTrue(self.meter.recount_pending)
        self.fold()
        self.assertEqual(self.quantities(), {self.hour: "2"})
        log = self.meter.message_ids[0].body
        for text in ("Version 2 approved", self.admin.name, "of all times", "cached"):
            self.assertIn(text, log)
        with self.assertRaisesRegex(UserError, "no draft any more"):
            version.value_path = "x"

    def test_back_again(self):
        version = self.submitted(value_path="cached", valid_from=False, replaces_later=True)
        version.action_approve()
        first = self.meter.version_ids - version
        action = first.with_user(self.admin).action_propose_copy()
        back = self.env["usage.meter.version"].with_user(self.admin).browse(action["res_id"])
        self.assertEqual((back.number, back.value_path), (3, "tokens"))
        back.write({"valid_from": False, "replaces_later": True})
        back.action_submit()
        back.with_user(self.second_admin).action_approve()
        self.fold()
        self.assertEqual(self.quantities(), {self.hour: "5"})

    def test_rejected(self):
        version = self.submitted(value_path="cached")
        action = version.action_reject()
        wizard = self.env[action["res_model"]].with_user(self.second_admin).with_context(**action["context"])
        wizard.create({"reason": "Ask finance first"}).action_reject()
        self.assertEqual(version.state, "rejected")
        self.assertIn("Ask finance first", version.message_ids[0].body)
        self.assertIn(self.admin.partner_id, version.message_ids[0].partner_ids)
        self.assertFalse(version.activity_ids)
        self.assertFalse(self.meter.waiting_version_id)
        with self.assertRaisesRegex(UserError, "not to be decided"):
            version.action_approve()
        self.assertTrue(self.propose())

    def test_withdrawn(self):
        version = self.submitted(value_path="cached")
        version.with_user(self.admin).action_withdraw()
        self.assertEqual(version.state, "withdrawn")
        self.assertFalse(version.activity_ids)
        self.assertFalse(self.meter.recount_pending)

    def test_later_versions(self):
        """One that begins before another approved one either ends where that begins, or replaces it."""
        self.change(self.meter, valid_from=self.hour + 4 * HOUR, value_path="cached")
        between = self.propose(valid_from=self.hour + 4 * HOUR, aggregation="count")
        with self.assertRaisesRegex(UserError, "Replace Later Versions"):
            between.action_submit()
        between.replaces_later = True
        between.action_submit()
        between.with_user(self.second_admin).action_approve()
        states = {version.number: version.state for version in self.meter.version_ids}
        self.assertEqual(states, {1: "approved", 2: "superseded", 3: "approved"})
        first, last = self.meter._definitions()
        self.assertEqual((first.number, first._period()), (1, (None, self.hour + 4 * HOUR)))
        self.assertEqual((last.number, last._period()), (3, (self.hour + 4 * HOUR, None)))

    def test_deleted_with_the_meter(self):
        version = self.submitted(value_path="cached")
        self.assertTrue(version.activity_ids)
        self.meter.unlink()
        self.assertFalse(version.exists())


@tagged("post_install", "-at_install")
class TestValidity(VersionCommon):
    """An event is counted by the version valid at its time, whenever it arrives."""

    def test_before_and_after(self):
        self.change(self.meter, valid_from=self.hour + HOUR, value_path="cached")
        data = {"tokens": 10, "cached": 1, "model": "large"}
        self.ingest(
            [
                self.event("last of the old", time=self.time(59), data=data),
                self.event("first of the new", time=self.time(60), data=data),
            ]
        )
        self.fold()
        self.assertEqual(self.quantities(), {self.hour: "15", self.hour + HOUR: "1"})
        self.ingest(
            [self.event("late", time=self.time(30), data=data), self.event("new", time=self.time(90), data=data)]
        )
        self.fold()
        self.assertEqual(self.quantities(), {self.hour: "25", self.hour + HOUR: "2"})

    def test_only_its_time_is_counted_again(self):
        self.ingest([self.event("later", time=self.time(60), data={"tokens": 7, "cached": 3})])
        self.fold()
        self.change(self.meter, valid_from=self.hour + HOUR, value_path="cached")
        self.assertEqual(self.meter.recount_from, self.hour + HOUR)
        ids = self.env["usage.aggregate"].search([("meter_id", "=", self.meter.id), ("hour", "=", self.hour)]).ids
        self.fold()
        self.assertEqual(self.quantities(), {self.hour: "5", self.hour + HOUR: "3"})
        again = self.env["usage.aggregate"].search([("meter_id", "=", self.meter.id), ("hour", "=", self.hour)]).ids
        self.assertEqual(again, ids, "the hour before it stays as it is")
        self.assertFalse(self.meter.recount_from)

    def test_changes_that_wait_together(self):
        self.meter._definition_changed(self.hour + HOUR)
        self.meter._definition_changed(self.hour)
        self.assertEqual(self.meter.recount_from, self.hour)
        self.meter._definition_changed(self.hour + HOUR)
        self.assertEqual(self.meter.recount_from, self.hour)
        self.meter._definition_changed()
        self.meter._definition_changed(self.hour)
        self.assertFalse(self.meter.recount_from, "all is counted again")

    def test_judged_by_the_version_of_the_time(self):
        self.change(self.meter, valid_from=self.hour + HOUR, value_path="cached")
        answer = self.ingest(
            [
                self.event("a", time=self.time(59), data={"tokens": 1}),
                self.event("b", time=self.time(60), data={"tokens": 1}),
                self.event("c", time=self.time(59), data={"cached": 1}),
                self.event("d", time=None, data={"cached": 1}),
            ]
        )
        self.assertEqual(self.codes(answer), {1: "value_missing", 2: "value_missing"})

    def test_another_type_from_then_on(self):
        """What no version counts at its time waits, and is told to wait."""
        self.change(self.meter, valid_from=self.hour + HOUR, event_type="new")
        answer = self.ingest(
            [
                self.event("new before", type="new", time=self.time(59)),
                self.event("new after", type="new", time=self.time(60)),
                self.event("old before", time=self.time(59)),
                self.event("old after", time=self.time(60)),
            ]
        )
        self.assertEqual(self.codes(answer), {0: "meter_unknown", 3: "meter_unknown"})
        self.fold()
        self.assertEqual(self.quantities(), {self.hour: "6", self.hour + HOUR: "1"})
        events = self.stored("new before", "new after", "old before", "old after")
        states = {event.event_id: event.state for event in events}
        self.assertEqual(
            states, {"new before": "held", "new after": "counted", "old before": "counted", "old after": "held"}
        )
        held = self.env["usage.event"].search([("id", "in", events.ids), ("state", "=", "held")])
        self.assertEqual(set(held.mapped("event_id")), {"new before", "old after"})
        meters = self.env["usage.meter"]._of_event
        self.assertFalse(meters(self.company.id, "new", self.hour))
        self.assertEqual(meters(self.company.id, "new", self.hour + HOUR), self.meter)

    def test_the_meter_shows_what_is_valid_now(self):
        soon = fields.Datetime.now().replace(minute=0, second=0) + HOUR
        triggers = self.env["ir.cron.trigger"]
        job = self.env.ref("usage_connector_base.cron_meter_version")
        before = triggers.search([("cron_id", "=", job.id)])
        self.change(self.meter, valid_from=soon, value_path="cached")
        self.assertEqual((triggers.search([("cron_id", "=", job.id)]) - before).call_at, soon)
        self.env["usage.meter"]._cron_show_versions()
        self.assertEqual(self.meter.value_path, "tokens")
        self.fold()
        with freeze_time(soon + timedelta(minutes=1)):
            self.env["usage.meter"]._cron_show_versions()
        self.assertEqual(self.meter.value_path, "cached")
        self.assertFalse(self.meter.recount_pending, "nothing is counted again for it")

    def test_units_that_change_later(self):
        """What was approved converts as it did when it was approved."""
        dozen = self.env["uom.uom"].create(
            {"name": "Pack", "relative_factor": 12, "relative_uom_id": self.env.ref("uom.product_uom_unit").id}
        )
        meter = self._meter(
            "packs", value_path="tokens", convert_from_id=dozen.id, convert_to_id=dozen.relative_uom_id.id
        )
        self.fold()
        self.assertEqual(self.quantities(meter), {self.hour: "60"})
        dozen.relative_factor = 10
        meter._definition_changed()
        self.fold()
        self.assertEqual(self.quantities(meter), {self.hour: "60"})
