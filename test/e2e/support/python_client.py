"""A client of the Python SDK: python_client.py <url> <mode> <tool> <arguments as JSON> ... Prints what it saw as JSON."""

import asyncio
import json
import sys

from mcp import Client, types


async def elicit(context, params):
    return types.ElicitResult(action="accept", content={"name": "Ada"})


async def main(url, mode, calls):
    async with Client(url, mode=mode, elicitation_callback=elicit) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        answers = []
        for name, arguments in calls:
            result = await client.call_tool(name, json.loads(arguments))
            texts = [block.text for block in result.content if block.type == "text"]
            answers.append({"is_error": bool(result.is_error), "text": "\n".join(texts)})
        print(json.dumps({"version": client.protocol_version, "tools": tools, "answers": answers}))


asyncio.run(main(sys.argv[1], sys.argv[2], list(zip(sys.argv[3::2], sys.argv[4::2]))))
