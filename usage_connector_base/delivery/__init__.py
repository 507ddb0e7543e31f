"""Messages to outside receivers: plain Python, without Odoo.

``message``    a fact as the JSON text that is signed and sent, and the headers that go with it
``signing``    secrets and signatures as Standard Webhooks describes them
``schedule``   when a message is tried again, when it is given up, when an endpoint is left alone
``addresses``  which addresses may be connected to
``transport``  one HTTP request: to checked addresses only, bounded in time and size
"""
