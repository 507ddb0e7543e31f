"""A believable story of usage, and the tools to play it against a running Odoo.

`story` says what exists (meters, plans, customers), `saas` invents a month of a SaaS
platform from a seed, `eventfile` makes a story of anybody's CloudEvents, `sender` pushes
events over HTTP as a platform would, `odoo_session` is a person at the web client,
`stage` sets the story up in Odoo, and `play` runs it from event to ledger.
"""
