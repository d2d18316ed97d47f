"""One TLS context for everything that a call process opens.

Loading the certificates costs a tenth of a second and two megabytes each time, so the template
does it once and every fork inherits the result.
"""

import functools
import ssl


@functools.cache
def shared_context() -> ssl.SSLContext:
    """Return the context, made at the first call: have ``prepare`` call it in the template."""
    return ssl.create_default_context()
