"""The local page: a photo dropped on it is explained, and the answers come over HTTP.

settings         what a server allows
on the way in    guard: who may ask at all; uploads: a photo out of a request, within bounds; asks: what is wanted
at work          line: one worker and those who wait for it; networks: what is on offer, loaded when it is asked
                 for; shelf: photos that are kept for a while; studio: explains, explores, draws and checks them
on the way out   answers: results and refusals; replies: how HTTP has them; page: the page itself; samples: photos
                 to try it with; openapi: the interface described
around it        app: which address does what; server: the socket, and how all of it ends
"""

from __future__ import annotations

from attnviz.serve.app import App, make_app
from attnviz.serve.asks import Source
from attnviz.serve.networks import Networks, Offer
from attnviz.serve.server import Address, Server
from attnviz.serve.settings import Settings

__all__ = ["Address", "App", "Networks", "Offer", "Server", "Settings", "Source", "make_app"]
