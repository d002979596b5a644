"""A client on Python's asyncio that writes as much at a time as RFC 2920 allows. Each reply is printed as JSON."""
import asyncio
import json
import sys


async def reply(reader):
    lines = []
    while True:
        line = (await asyncio.wait_for(reader.readline(), 20)).decode()
        if not line:
            return {'code': 0, 'lines': lines}
        lines.append(line[4:].rstrip('\r\n'))
        if line[3] == ' ':
            return {'code': int(line[:3]), 'lines': lines}


async def talk(port, writes):
    """Each write waits for the replies that the one before it is owed."""
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    replies = [[await reply(reader)]]
    for text, owed in writes:
        writer.write(text.encode())
        replies.append([await reply(reader) for _ in range(owed)])
    writer.close()
    return replies


job = json.load(sys.stdin)
json.dump(asyncio.run(talk(job['port'], job['writes'])), sys.stdout)
