"""The one place that says which events count, for which meter, and what each of them counts.

All SQL here is about one stored event, ``usage_event e``. What a meter counts is said by its
definitions, each for the events of a period: see ``usage.meter._definitions``.
"""

from odoo import api, models
from odoo.tools import SQL

from ..aggregations import AGGREGATIONS
from ..ingestion.facts import MAX_DIMENSION, MAX_QUANTITY, SUMMARY_TYPE

SCALARS = SQL("('string', 'number', 'boolean')")
AND = SQL(" AND ")


class UsageAggregate(models.Model):
    _inherit = "usage.aggregate"

    # -- which events count -----------------------------------------------------------------

    @api.model
    def _sql_is_counted(self):
        """Whether an event is in the hourly usage: its batch is folded, and no correction is that supersedes it.

        Corrections take effect with the fold of their batch, so that the hourly usage follows
        from the folded batches alone, in whatever order they came.
        """
        return SQL(
            """
            EXISTS (SELECT FROM usage_batch b WHERE b.id = e.batch_id AND b.folded_at IS NOT NULL)
            AND NOT EXISTS (
                SELECT FROM usage_correction c JOIN usage_batch b ON b.id = c.batch_id
                WHERE c.event_id = e.id AND b.folded_at IS NOT NULL
            )
            """
        )

    @api.model
    def _sql_is_valid(self):
        """Whether the event counts, or will once it is folded: nobody has corrected it."""
        return SQL("NOT EXISTS (SELECT FROM usage_correction c WHERE c.event_id = e.id)")

    @api.model
    def _sql_is_of(self, definition):
        """Whether a definition is about the event: its company, type and time. Filters are not looked at."""
        meter = self._meter_of(definition)
        conditions = [SQL("e.company_id = %s", meter.company_id.id), self._sql_is_of_type(definition)]
        first, last = definition._period()
        if first:
            conditions.append(SQL("e.time >= %s", first))
        if last:
            conditions.append(SQL("e.time < %s", last))
        return AND.join(conditions)

    @api.model
    def _sql_is_between(self, start, end):
        """Whether an event's time is in [start, end): its hour too, by which the index finds an account's events.

        :param start: naive UTC, or SQL of a timestamp; ``end`` likewise
        """
        start, end = (moment if isinstance(moment, SQL) else SQL("%s::timestamp", moment) for moment in (start, end))
        return SQL(
            """
            (date_trunc('hour', e.time) >= date_trunc('hour', %(start)s) AND date_trunc('hour', e.time) < %(end)s
                AND e.time >= %(start)s AND e.time < %(end)s)
            """,
            start=start,
            end=end,
        )

    def _sql_is_of_type(self, definition):
        own = SQL("e.type = %s", definition.event_type)
        if not AGGREGATIONS[definition.aggregation].takes_summaries:
            return own
        code = self._meter_of(definition).code
        return SQL("(%s OR (e.type = %s AND e.data ->> 'meter' = %s))", own, SUMMARY_TYPE, code)

    def _meter_of(self, definition):
        return definition if definition._name == "usage.meter" else definition.meter_id

    # -- what an event counts ---------------------------------------------------------------

    @api.model
    def _sql_value(self, definition):
        """What an event counts: NUMERIC, or TEXT for unique counts; NULL when it does not count.

        Whether a number counts is decided as at ingestion, which does not know the meters to come.
        """
        value = self._sql_sent_value(definition)
        filters = definition._filters()
        if filters:
            value = SQL("CASE WHEN %s THEN %s END", self._sql_filter(definition), value)
        if not AGGREGATIONS[definition.aggregation].takes_summaries:
            return value
        return SQL("CASE WHEN e.type = %s THEN (e.data ->> 'quantity')::numeric ELSE %s END", SUMMARY_TYPE, value)

    def _sql_sent_value(self, definition):
        aggregation = AGGREGATIONS[definition.aggregation]
        if not aggregation.needs_value:
            return SQL("1::numeric")
        names = definition._value_names()
        if aggregation.needs_number:
            return self._sql_converted(definition, self._sql_number(names))
        return SQL(
            "CASE WHEN length(%(text)s) <= %(limit)s THEN %(text)s END", text=self._sql_text(names), limit=MAX_DIMENSION
        )

    def _sql_converted(self, definition, number):
        """A number in the meter's unit, computed once where the conversion names it several times."""
        converted = definition._sql_converted(SQL("sent.number"))
        if converted == SQL("sent.number"):
            return number
        return SQL("(SELECT %s FROM (SELECT %s AS number OFFSET 0) sent)", converted, number)

    def _sql_number(self, names):
        return SQL(
            """
            CASE WHEN jsonb_typeof(%(found)s) = 'number' AND %(found)s >= '0' AND %(found)s < %(limit)s::jsonb
                THEN (%(found)s)::numeric END
            """,
            found=self._sql_at(names),
            limit=str(MAX_QUANTITY),
        )

    def _sql_at(self, names):
        """The JSONB at a path, through objects only: a name such as 0 is never the first of a list."""
        return SQL("(e.data%s)", SQL().join(SQL(" -> %s::text", name) for name in names))

    def _sql_text(self, names):
        """The text of a text, number or boolean at a path; NULL for all else."""
        return SQL(
            "CASE WHEN jsonb_typeof(%(found)s) IN %(scalars)s THEN %(found)s #>> '{}' END",
            found=self._sql_at(names),
            scalars=SCALARS,
        )

    @api.model
    def _sql_filter(self, definition):
        """Whether all filters of a definition let the event through."""
        return AND.join(map(self._sql_passes, definition._filters())) or SQL("true")

    def _sql_passes(self, condition):
        """One filter: a :class:`~..ingestion.facts.Filter` of path, operator and texts."""
        found = self._sql_at(condition.path)
        is_set = SQL("coalesce(jsonb_typeof(%s) <> 'null', false)", found)
        is_in = SQL("coalesce(%s = ANY(%s::text[]), false)", self._sql_text(condition.path), sorted(condition.values))
        return {
            "set": is_set,
            "not_set": SQL("NOT %s", is_set),
            "in": is_in,
            "not_in": SQL("NOT %s", is_in),
        }[condition.operator]

    @api.model
    def _sql_dimensions(self, definition):
        """The dimensions of an event: JSONB, without those that the event lacks."""
        names = definition._dimension_names()
        if not names:
            return SQL("'{}'::jsonb")
        sent = self._sql_pairs((name, self._sql_at(name.split("."))) for name in names)
        if not AGGREGATIONS[definition.aggregation].takes_summaries:
            return sent
        summarized = self._sql_pairs((name, SQL("e.data -> 'dimensions' -> %s::text", name)) for name in names)
        return SQL("CASE WHEN e.type = %s THEN %s ELSE %s END", SUMMARY_TYPE, summarized, sent)

    def _sql_pairs(self, pairs):
        pairs = [SQL("%s::text, %s", name, value) for name, value in pairs]
        return SQL("jsonb_strip_nulls(jsonb_build_object(%s))", SQL(", ").join(pairs))

    @api.model
    def _try_event(self, definitions, data, event_type):
        """What an event that is not stored would count, by the very SQL that counts stored ones.

        :param definitions: ``usage.meter`` or ``usage.meter.version`` records, which need not be saved
        :param str data: JSON text of the event's data, an object
        :param str event_type: the event's type
        :return: list of a dict for each definition: ``is_of_type``; ``passes``, whether its filters
            let the event through; ``quantity``, as text, None when it does not count; ``dimensions``
        """
        return [self._try(definition, data, event_type) for definition in definitions]

    def _try(self, definition, data, event_type):
        query = SQL(
            """
            SELECT %(is_of_type)s AS is_of_type, %(passes)s AS passes, %(quantity)s AS quantity,
                %(dimensions)s AS dimensions
            FROM (SELECT %(data)s::jsonb AS data, %(type)s::text AS type) e
            """,
            is_of_type=self._sql_is_of_type(definition),
            passes=self._sql_filter(definition),
            quantity=self._sql_value_text(definition),
            dimensions=self._sql_dimensions(definition),
            data=data,
            type=event_type,
        )
        [row] = self.env.execute_query_dict(query)
        return row

    @api.model
    def _sql_value_text(self, definition):
        """What an event counts as people and senders read it: without needless zeros; 1 for a unique value."""
        value = self._sql_value(definition)
        if definition.aggregation == "unique_count":
            return SQL("CASE WHEN %s IS NOT NULL THEN '1' END", value)
        return SQL("trim_scale(%s)::text", value)
