from datetime import datetime, timedelta

import psycopg2

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Command
from odoo.tests import Form, freeze_time, tagged
from odoo.tools import mute_logger

from odoo.addons.usage_connector_base.aggregations import Span
from odoo.addons.usage_connector_base.contract.questions import read_question

from .common import UsageCommon

HOUR = timedelta(hours=1)


class AssignmentCommon(UsageCommon):
    """The account has usage in each of five hours, of which the third begins at ``cls.change``."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.env["res.partner"].create({"name": "Beta Ltd", "is_company": True})
        cls.hour -= 2 * HOUR
        cls.ingest([cls.event(f"{n}", time=cls.time(60 * n)) for n in range(5)])
        cls.fold()
        cls.change = cls.hour + 2 * HOUR

    def assigned(self, account=None):
        """Assignments of the account, oldest first: list of (customer's name, hours from the change)."""
        found = (account or self.account).assignment_ids.sorted(lambda x: x.date_from or datetime.min)
        return [(x.partner_id.name, self.hours(x.date_from), self.hours(x.date_to)) for x in found]

    def hours(self, moment):
        return moment and (moment - self.change) // HOUR

    def states(self):
        """State of the events, by time."""
        return self.env["usage.event"].search([("source_id", "=", self.source.id)], order="time").mapped("state")

    def held(self, state="open"):
        return self.exceptions(reason="account_inactive", state=state)


@tagged("post_install", "-at_install")
class TestAssignment(AssignmentCommon):
    def test_a_customer_is_one_assignment_for_all_time(self):
        assignment = self.account.assignment_ids
        self.assertEqual(assignment.partner_id, self.customer)
        self.assertEqual((assignment.date_from, assignment.date_to), (False, False))
        self.assertFalse(self.account.is_dated)
        self.assertEqual(assignment.display_name, "Acme Ltd, for all time")

    def test_writing_a_customer_replaces_all(self):
        self.account._assign(self.other, self.change)
        self.account.partner_id = self.customer
        self.assertEqual(self.assigned(), [("Acme Ltd", False, False)])
        self.account.partner_id = False
        self.assertFalse(self.account.assignment_ids)
        self.assertFalse(self.account.is_dated)

    def test_reassigning_from_a_date(self):
        self.account._assign(self.other, self.change)
        self.assertEqual(self.assigned(), [("Acme Ltd", False, 0), ("Beta Ltd", 0, False)])
        self.assertEqual(self.account.partner_id, self.other)
        self.assertTrue(self.account.is_dated)
        self.assertEqual(self.states(), ["counted"] * 5)

    def test_reassigning_until_a_date(self):
        self.account._assign(self.other, date_to=self.change)
        self.assertEqual(self.assigned(), [("Beta Ltd", False, 0), ("Acme Ltd", 0, False)])
        self.assertEqual(self.account.partner_id, self.customer)

    def test_a_time_in_between(self):
        self.account._assign(self.other, self.change, self.change + HOUR)
        self.assertEqual(self.assigned(), [("Acme Ltd", False, 0), ("Beta Ltd", 0, 1), ("Acme Ltd", 1, False)])

    def test_what_lies_within_is_not_overwritten(self):
        self.account._assign(self.other, self.change, self.change + HOUR)
        with self.assertRaisesRegex(UserError, "remove that assignment first"):
            self.account._assign(self.customer, self.change - HOUR)
        self.assertEqual(len(self.account.assignment_ids), 3)

    def test_a_customer_to_come(self):
        tomorrow = fields.Datetime.now().replace(minute=0, second=0) + 24 * HOUR
        self.account._assign(self.other, tomorrow)
        self.assertEqual(self.account.partner_id, self.customer)
        with freeze_time(tomorrow + HOUR):
            self.env["usage.account"]._cron_follow()
            self.assertEqual(self.account.partner_id, self.other)
            self.assertEqual(self.account.commercial_partner_id, self.other)

    def test_the_latest_customer_stays_after_the_end(self):
        self.account.assignment_ids.date_to = self.change
        self.assertEqual(self.account.partner_id, self.customer)

    def test_by_hand(self):
        with self.assertRaisesRegex(ValidationError, "two customers at once"), self.cr.savepoint():
            self.account.assignment_ids = [Command.create({"partner_id": self.other.id, "date_from": self.change})]
        with self.assertRaisesRegex(ValidationError, "full one"), self.cr.savepoint():
            self.account.assignment_ids.date_to = self.change + timedelta(minutes=30)
        with self.assertRaisesRegex(UserError, "stays with its account"), self.cr.savepoint():
            self.account.assignment_ids.account_id = self._account("else")
        self.account.assignment_ids.date_to = self.change
        self.account.assignment_ids = [Command.create({"partner_id": self.other.id, "date_from": self.change})]
        self.assertEqual(self.account.partner_id, self.other)
        self.account.assignment_ids.filtered("date_from").unlink()
        self.assertEqual(self.account.partner_id, self.customer)

    @mute_logger("odoo.sql_db")
    def test_ends_after_it_begins(self):
        with self.assertRaises(psycopg2.errors.CheckViolation), self.cr.savepoint():
            self.account.assignment_ids.write({"date_from": self.change, "date_to": self.change})

    def test_history(self):
        self.account._assign(self.other, self.change)
        bodies = " ".join(self.account.message_ids.mapped("body"))
        self.assertIn("Assigned: Beta Ltd, from", bodies)
        self.assertIn("Assignment changed: Acme Ltd, until", bodies)

    def test_customer_of_another_company(self):
        company = self.env["res.company"].create({"name": "Other"})
        foreign = self.env["res.partner"].create({"name": "Foreign", "company_id": company.id})
        with self.assertRaises(UserError):
            self.account._assign(foreign, self.change)

    def test_what_follows_is_not_written(self):
        for name in ("is_dated", "payer_id", "merged_into_id"):
            with self.assertRaisesRegex(UserError, "follows from"):
                self.account.write({name: False})

    def test_viewer_changes_nothing(self):
        viewed = self.account.with_user(self.viewer)
        for change in (
            lambda: viewed._assign(self.other, self.change),
            lambda: viewed.write({"partner_id": self.other.id}),
            lambda: viewed.assignment_ids.write({"date_to": self.change}),
            lambda: viewed.assignment_ids.unlink(),
        ):
            with self.assertRaises(AccessError):
                change()

    def test_told(self):
        self._told(self.company)
        self.account._assign(self.other, self.change)
        message = self.env["usage.delivery"].search([("event_type", "=", "usage.account.mapped")], limit=1)
        self.assertIn("Beta Ltd", message.payload)
        self.assertIn("Acme Ltd", message.payload)

    def test_spans(self):
        self.account._assign(self.other, self.change)
        spans = self.env["usage.account"]._customer_spans(self.customer | self.other, "production")
        self.assertEqual(
            spans,
            {
                (self.customer.id, self.company.id): [Span(self.account.id, datetime.min, self.change)],
                (self.other.id, self.company.id): [Span(self.account.id, self.change, datetime.max)],
            },
        )

    def test_a_customer_from_before_there_were_assignments(self):
        self.env.cr.execute("DELETE FROM usage_account_assignment WHERE account_id = %s", [self.account.id])
        self.env["usage.account.assignment"].init()
        self.env.invalidate_all()
        self.assertEqual(self.assigned(), [("Acme Ltd", False, False)])


@tagged("post_install", "-at_install")
class TestHeldByTime(AssignmentCommon):
    """Usage at times when the account belongs to nobody is held, and says so."""

    def test_an_assignment_that_ended(self):
        self.account.assignment_ids.date_to = self.change
        self.assertEqual(self.states(), ["counted"] * 2 + ["held"] * 3)
        exception = self.held()
        self.assertEqual((exception.account_id, exception.category), (self.account, "business"))
        self.assertEqual(exception.held_event_count, 3)
        self.account._assign(self.other, self.change)
        self.assertEqual(self.held("resolved"), exception)
        self.assertIn("Beta Ltd", exception.resolution)
        self.assertEqual(self.states(), ["counted"] * 5)

    def test_covered_in_part(self):
        self.account.assignment_ids.date_to = self.change
        self.account._assign(self.other, self.change, self.change + HOUR)
        self.assertEqual(self.held().held_event_count, 2)
        self.assertEqual(self.states(), ["counted"] * 3 + ["held"] * 2)

    def test_at_the_door(self):
        self.account.assignment_ids.write({"date_from": self.change, "date_to": self.change + HOUR})
        exception = self.held()
        events = [
            self.event("early", time=self.time(119)),
            self.event("in time", time=self.time(120)),
            self.event("late", time=self.time(180)),
            self.event("now", time=None),
        ]
        answer = self.ingest(events)
        self.assertEqual(self.outcomes(answer), {"accepted": 1, "quarantined": 3})
        self.assertEqual(set(self.codes(answer).values()), {"account_inactive"})
        self.assertEqual(self.held(), exception)
        self.assertEqual(exception.occurrence_count, 4)
        self.assertEqual(exception.held_event_count, 4 + 3)

    def test_a_new_exception_at_the_door(self):
        self.account.assignment_ids.date_to = fields.Datetime.now().replace(minute=0, second=0) + HOUR
        self.assertFalse(self.held())
        with freeze_time(fields.Datetime.now() + 3 * HOUR):
            answer = self.ingest([self.event("now", time=None)])
            self.assertEqual(self.codes(answer), {0: "account_inactive"})
            self.assertEqual(self.held().batch_id.id, answer["batch"])

    def test_asking_what_became_of_one(self):
        self.account.assignment_ids.date_to = self.change
        answer = self.env["usage.query"]._event(self.source._as_sender(), "4")
        self.assertEqual((answer["state"], answer["code"]), ("held", "account_inactive"))
        self.assertEqual([held["reason"] for held in answer["exceptions"]], ["account_inactive"])
        self.assertFalse(answer["account"]["customer_assigned"])
        answer = self.env["usage.query"]._event(self.source._as_sender(), "0")
        self.assertEqual((answer["state"], answer["account"]["customer_assigned"]), ("counted", True))

    def test_settles_by_itself_though_it_was_raised_late(self):
        """As when a request judged its events a moment before the assignment was made."""
        self.env["usage.exception"]._raise_inactive(self.account.ids)
        self.account._assign(self.other, self.change)
        self.env["usage.exception"]._raise_inactive(self.account.ids)
        self.env["usage.account"]._cron_follow()
        self.assertFalse(self.held())

    def test_unmapped_is_another_exception(self):
        self.account.assignment_ids.date_to = self.change
        self.account.assignment_ids.unlink()
        self.assertFalse(self.held())
        self.assertTrue(self.exceptions(reason="account_unmapped", state="open"))

    def test_of_a_customer_at_its_time(self):
        """Events and hours are the customer's to whom the account belonged at their time."""
        self.account._assign(self.other, self.change, self.change + 2 * HOUR)
        self.account.assignment_ids.filtered(lambda x: x.date_from and not x.date_to).unlink()
        for model, time in (("usage.event", "time"), ("usage.aggregate", "hour")):
            usage = self.env[model].search([("source_id", "=", self.source.id)], order=time)
            with self.subTest(model):
                self.assertEqual(usage.mapped("partner_id.name"), ["Acme Ltd", "Beta Ltd"])
                self.assertEqual([len(one.partner_id) for one in usage], [1, 1, 1, 1, 0])
                for domain, found in (
                    ([("partner_id", "=", self.customer.id)], usage[:2]),
                    ([("partner_id", "in", (self.customer | self.other).ids)], usage[:4]),
                    ([("partner_id", "!=", self.customer.id)], usage[2:]),
                    ([("partner_id", "=", False)], usage[4:]),
                    ([("partner_id", "!=", False)], usage[:4]),
                    ([("partner_id", "child_of", self.other.id)], usage[2:4]),
                    ([("partner_id", "ilike", "beta")], usage[2:4]),
                    ([("partner_id.commercial_partner_id", "=", self.other.id)], usage[2:4]),
                ):
                    self.assertEqual(
                        self.env[model].search(domain + [("source_id", "=", self.source.id)], order=time), found, domain
                    )
                groups = self.env[model]._read_group([("source_id", "=", self.source.id)], ["partner_id"], ["__count"])
                self.assertEqual(
                    {partner.name: count for partner, count in groups}, {"Acme Ltd": 2, "Beta Ltd": 2, False: 1}
                )

    def test_states_are_searched(self):
        self.account.assignment_ids.date_to = self.change
        events = self.env["usage.event"].search([("source_id", "=", self.source.id)])
        for state, count in (("held", 3), ("counted", 2), ("waiting", 0)):
            found = events.search([("source_id", "=", self.source.id), ("state", "=", state)])
            self.assertEqual(len(found), count)
            self.assertLessEqual(set(found.mapped("state")), {state})


@tagged("post_install", "-at_install")
class TestDatedDialog(AssignmentCommon):
    def form(self, accounts=None):
        action = (accounts or self.account).with_user(self.operator).action_map()
        return Form(self.env[action["res_model"]].with_user(self.operator).with_context(**action["context"]))

    def test_from_and_until(self):
        with self.form() as form:
            form.partner_id = self.other
            self.assertEqual((form.event_count, form.reassigned_count), (5, 1))
            form.date_from = self.change
            self.assertEqual(form.event_count, 3)
            form.date_to = self.change + HOUR
            self.assertEqual(form.event_count, 1)
        form.record.action_map()
        self.assertEqual(len(self.account.assignment_ids), 3)
        latest = self.account.assignment_ids.filtered(lambda x: x.partner_id == self.other)
        self.assertEqual(latest.create_uid, self.operator)

    def test_accounts_billed_elsewhere_are_left_out(self):
        child = self._account("child", parent_id=self.account.id, billed_at_parent=True)
        with self.form(self.account | child) as form:
            form.partner_id = self.other
            self.assertEqual((form.account_count, form.elsewhere_count), (1, 1))
        form.record.action_map()
        self.assertEqual((self.account | child).partner_id, self.other)
        with self.form(child) as form:
            form.partner_id = self.customer
        with self.assertRaisesRegex(UserError, "billed at other accounts"):
            form.record.action_map()


@tagged("post_install", "-at_install")
class TestBilledAtParent(AssignmentCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.parent = cls._account("parent")
        cls.child = cls._account("child", parent_id=cls.parent.id, billed_at_parent=True)
        cls.grandchild = cls._account("grandchild", parent_id=cls.child.id, billed_at_parent=True)
        cls.aside = cls._account("aside", parent_id=cls.parent.id)
        cls.family = cls.parent | cls.child | cls.grandchild
        cls.ingest([cls.event("child", subject="child"), cls.event("grandchild", subject="grandchild")])
        cls.fold()

    def test_follow_the_customer_of_the_parent(self):
        self.assertEqual(len(self.exceptions(reason="account_unmapped", state="open")), 4)
        self.parent.partner_id = self.customer
        self.assertEqual(self.family.mapped("partner_id"), self.customer)
        self.assertEqual((self.child | self.grandchild).payer_id, self.parent)
        self.assertEqual(self.exceptions(reason="account_unmapped", state="open").account_id, self.aside)
        self.assertFalse(self.aside.partner_id)
        self.assertEqual(self.stored("child", "grandchild").mapped("state"), ["counted"] * 2)
        answer = self.ingest([self.event("next", subject="grandchild")])
        self.assertEqual(self.outcomes(answer), {"accepted": 1})

    def test_dates_of_the_parent(self):
        self.parent._assign(self.customer, date_to=self.hour)
        self.assertEqual(self.stored("child").state, "held")
        self.assertEqual(self.held().account_id, self.child | self.grandchild)
        answer = self.ingest([self.event("next", subject="grandchild")])
        self.assertEqual(self.codes(answer), {0: "account_inactive"})

    def test_flag_taken_back(self):
        self.parent.partner_id = self.customer
        self.child.billed_at_parent = False
        self.assertFalse((self.child | self.grandchild).partner_id)
        self.assertEqual(self.grandchild.payer_id, self.child)
        self.child.partner_id = self.other
        self.assertEqual(self.grandchild.partner_id, self.other)
        self.child.billed_at_parent = True
        self.assertEqual(self.grandchild.partner_id, self.customer)
        self.child.billed_at_parent = False
        self.assertEqual(self.grandchild.partner_id, self.other)

    def test_has_no_customer_of_its_own(self):
        with self.assertRaisesRegex(UserError, "is billed at parent"):
            self.child.partner_id = self.customer
        with self.assertRaisesRegex(UserError, "is billed at parent"):
            self.child.assignment_ids = [Command.create({"partner_id": self.customer.id})]
        with self.assertRaisesRegex(UserError, "is billed at parent"):
            self._account("new", self.customer, parent_id=self.parent.id, billed_at_parent=True)

    def test_spans(self):
        self.parent.partner_id = self.customer
        spans = self.env["usage.account"]._customer_spans(self.customer, "production")
        accounts = [span.account_id for span in spans[self.customer.id, self.company.id]]
        self.assertEqual(accounts, sorted((self.account | self.family).ids))

    def test_buttons(self):
        self.fold()
        self.assertEqual(self.parent.child_count, 2)
        action = self.parent.action_view_children()
        self.assertEqual(self.env["usage.account"].search(action["domain"]), self.aside | self.child)
        action = self.parent.action_view_family_usage()
        self.assertEqual(self.env["usage.aggregate"].search(action["domain"]).account_id, self.child | self.grandchild)

    def test_deletion_of_a_payer(self):
        with self.assertRaisesRegex(UserError, "is billed at parent"):
            self.parent.unlink()

    def test_outside_systems_are_told_of_each(self):
        self._told(self.company)
        before = self.env["usage.delivery"].search_count([])
        self.parent.partner_id = self.customer
        self.assertEqual(self.env["usage.delivery"].search_count([]) - before, 3)


@tagged("post_install", "-at_install")
class TestAlias(AssignmentCommon):
    def alias(self, external_id, account=None):
        return (
            self.env["usage.account.alias"]
            .with_user(self.operator)
            .create({"account_id": (account or self.account).id, "external_id": external_id})
        )

    def test_events_are_the_accounts(self):
        self.alias("acme-inc")
        answer = self.ingest([self.event("a", subject="acme-inc"), self.event("b")])
        self.assertEqual(self.outcomes(answer), {"accepted": 2})
        self.assertEqual(self.stored("a", "b").account_id, self.account)
        self.assertEqual(self.stored("a").attributes, {"source": "/test", "subject": "acme-inc"})
        self.assertEqual(self.stored("b").attributes, {"source": "/test"})

    def test_sent_twice(self):
        self.alias("acme-inc")
        self.ingest([self.event("a", subject="acme-inc")])
        self.assertEqual(self.codes(self.ingest([self.event("a", subject="acme-inc")])), {0: "id_known"})

    def test_of_this_source_alone(self):
        self.alias("acme-inc")
        other = self._source("other-cloud")
        self.ingest([self.event("a", subject="acme-inc")], source=other)
        self.assertEqual(
            self.env["usage.event"].search([("source_id", "=", other.id)]).account_id.external_id, "acme-inc"
        )

    @mute_logger("odoo.sql_db")
    def test_a_name_is_one_account(self):
        other = self._account("beta", self.other)
        with self.assertRaisesRegex(ValidationError, "merge it"), self.cr.savepoint():
            self.alias("beta")
        with self.assertRaisesRegex(ValidationError, "merge it"), self.cr.savepoint():
            self.alias("acme")
        self.alias("acme-inc")
        with self.assertRaisesRegex(ValidationError, "is an alias of acme"), self.cr.savepoint():
            self._account("acme-inc")
        with self.assertRaisesRegex(ValidationError, "is an alias of acme"), self.cr.savepoint():
            other.external_id = "acme-inc"
        with self.assertRaises(psycopg2.errors.UniqueViolation), self.cr.savepoint():
            self.alias("acme-inc", other)
        self.assertTrue(self._account("acme-inc", source=self._source("other-cloud")))

    def test_wins_over_an_account_made_at_the_same_moment(self):
        self.alias("acme-inc")
        self.env.cr.execute(
            "INSERT INTO usage_account (source_id, company_id, external_id, active) VALUES (%s, %s, 'acme-inc', true)",
            [self.source.id, self.company.id],
        )
        self.ingest([self.event("a", subject="acme-inc")])
        self.assertEqual(self.stored("a").account_id, self.account)
        twin = self.env["usage.account"].search([("external_id", "=", "acme-inc")])
        twin._merge_into(self.account)
        self.assertEqual((twin.merged_into_id, self.account.alias_ids.merged_account_id), (self.account, twin))

    def test_removed(self):
        self.alias("acme-inc").unlink()
        self.ingest([self.event("a", subject="acme-inc")])
        self.assertEqual(self.stored("a").account_id.external_id, "acme-inc")

    def test_found_by_it(self):
        self.alias("acme-inc")
        view = self.env.ref("usage_connector_base.view_usage_account_search")
        self.assertIn("alias_ids.external_id", view.arch)

    def test_usage_is_asked_for_by_it(self):
        self.alias("acme-inc")
        self.env.flush_all()
        begin, end = (fields.Date.to_string(self.hour + timedelta(days=n)) for n in (0, 2))
        question = read_question(
            {"meter": "tokens", "from": begin, "to": end, "account": "acme-inc", "granularity": "day"}
        )
        answer = self.env["usage.query"]._usage(self.source._as_sender(), question)
        self.assertEqual({row["account"] for row in answer["data"]}, {"acme"})


@tagged("post_install", "-at_install")
class TestMerge(AssignmentCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.twin = cls._account("acme-inc", cls.other)
        cls.ingest([cls.event("twin", subject="acme-inc")])
        cls.fold()

    def merge(self, account, target):
        action = account.with_user(self.operator).action_merge()
        wizards = self.env[action["res_model"]].with_user(self.operator).with_context(**action["context"])
        with Form(wizards) as form:
            form.target_id = target
        return form.record.action_merge()

    def test_becomes_an_alias(self):
        figures = self.figures()
        action = self.merge(self.twin, self.account)
        self.assertEqual(action["res_id"], self.account.id)
        self.assertEqual((self.twin.merged_into_id, self.twin.payer_id), (self.account, self.account))
        self.assertEqual((self.twin.partner_id, self.twin.active), (self.customer, False))
        self.assertEqual(self.figures(), figures)
        self.ingest([self.event("next", subject="acme-inc")])
        self.assertEqual(self.stored("twin").account_id, self.twin)
        self.assertEqual(self.stored("next").account_id, self.account)
        self.assertEqual(self.stored("twin", "next").partner_id, self.customer)

    def test_undone(self):
        self.merge(self.twin, self.account)
        self.twin.with_user(self.operator).action_undo_merge()
        self.assertEqual((self.twin.partner_id, self.twin.active), (self.other, True))
        self.assertFalse(self.twin.merged_into_id | self.twin.payer_id)
        self.ingest([self.event("next", subject="acme-inc")])
        self.assertEqual(self.stored("next").account_id, self.twin)

    def test_undone_by_removing_the_alias(self):
        self.merge(self.twin, self.account)
        self.account.with_user(self.operator).alias_ids.unlink()
        self.assertFalse(self.twin.merged_into_id)

    def test_an_unmapped_account(self):
        self.ingest([self.event("a", subject="unknown")])
        self.fold()
        unknown = self.stored("a").account_id
        self.merge(unknown, self.account)
        self.assertEqual(self.stored("a").state, "counted")
        self.assertFalse(self.exceptions(account_id=unknown.id, state="open"))

    def test_what_cannot_be(self):
        self.merge(self.twin, self.account)
        third = self._account("third")
        foreign = self._account("foreign", source=self._source("other-cloud"))
        for message, account, target in (
            ("is merged itself: choose acme", third, self.twin),
            ("merged into acme already", self.twin, third),
            ("into itself", third, third),
            ("another source", foreign, third),
        ):
            with self.assertRaisesRegex(UserError, message):
                account._merge_into(target)
        child = self._account("child", parent_id=third.id, billed_at_parent=True)
        with self.assertRaisesRegex(ValidationError, "billed at itself"), self.cr.savepoint():
            third._merge_into(child)
        with self.assertRaisesRegex(UserError, "is billed at acme"):
            self.twin.partner_id = self.customer
        with self.assertRaisesRegex(UserError, "undo the merge"):
            self.account.alias_ids.external_id = "else"
        with self.assertRaisesRegex(UserError, "by their button"):
            self.env["usage.account.alias"].create(
                {"account_id": third.id, "external_id": "x", "merged_account_id": self.account.id}
            )

    def test_viewer_may_not(self):
        with self.assertRaises(AccessError):
            self.twin.with_user(self.viewer)._merge_into(self.account)
        self.merge(self.twin, self.account)
        with self.assertRaises(AccessError):
            self.twin.with_user(self.viewer).action_undo_merge()
