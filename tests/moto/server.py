"""moto's S3 server on a port of loopback. It answers one request after the other, so that its conditional writes are atomic:
moto's own program answers them in threads that take no lock, and where Python changes between these often, two or three of fifty
writers at once are told that they have created the same object."""

import sys

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

application = DomainDispatcherApplication(create_backend_app)
run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=False, use_reloader=False)
