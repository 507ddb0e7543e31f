"""Two routes that do as little as possible: the yardsticks of the ingest benchmarks."""

from odoo import http
from odoo.http import request

INSERT = """
    INSERT INTO usage_bench_floor_event (id, type, subject, time, data)
    SELECT id, type, subject, time, data
      FROM json_to_recordset(%s::json)
        AS event (id text, type text, subject text, time timestamptz, data jsonb)
"""


class Floor(http.Controller):
    """Without authentication or any judgement of what is sent. Never installed outside benchmarks."""

    @http.route(
        "/usage_bench_floor/insert",
        type="http",
        auth="none",
        methods=["POST"],
        csrf=False,
        save_session=False,
        readonly=False,
    )
    def insert(self):
        """Store the events of a CloudEvents batch with one statement; committed by the dispatcher."""
        request.env.cr.execute(INSERT, [request.httprequest.get_data(as_text=True)])
        return request.make_json_response({"accepted": request.env.cr.rowcount})

    @http.route(
        "/usage_bench_floor/constant",
        type="http",
        auth="none",
        methods=["POST"],
        csrf=False,
        save_session=False,
    )
    def constant(self):
        """Answer the same whatever is sent."""
        return request.make_json_response({"accepted": 1})
