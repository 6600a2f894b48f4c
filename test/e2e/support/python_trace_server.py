"""A server made with the Python SDK that tells which trace context it was given, and in which revision it was asked:
`python python_trace_server.py [transport port]`, without them over stdio. Speaks both eras."""

import json
import sys

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("python-trace")


@server.tool()
def context(ctx: Context) -> str:
    meta = dict(ctx.request_context.meta or {})
    headers = ctx.headers or {}
    told = {
        "version": ctx.protocol_version,
        "meta": meta.get("traceparent"),
        "meta_state": meta.get("tracestate"),
        "header": headers.get("traceparent"),
        "header_state": headers.get("tracestate"),
    }
    return json.dumps({key: value for key, value in told.items() if value is not None})


if len(sys.argv) > 2:
    server.run(sys.argv[1], port=int(sys.argv[2]))
else:
    server.run()
