// SPDX-License-Identifier: Apache-2.0
//
// Connects the official TypeScript SDK's client to the URL given, lists the tools, calls echo, and prints one line of JSON:
//   {"session":…,"server":{…},"tools":[…],"echo":{"text":…,"worker":…,"region":…}}
// Exits 1 with one line on standard error if anything of that fails.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const timeout = 15_000; // milliseconds, of each request
const url = process.argv[2];
const text = process.argv[3] ?? 'hello from TypeScript';

async function main() {
  if (!url) throw new Error('usage: client.mjs URL [TEXT]');
  const transport = new StreamableHTTPClientTransport(new URL(url));
  const client = new Client({ name: 'meridian-tsclient', version: '1.0.0' });
  await client.connect(transport, { timeout });
  try {
    const { tools } = await client.listTools(undefined, { timeout });
    const answer = await client.callTool({ name: 'echo', arguments: { text } }, undefined, { timeout });
    if (answer.isError) throw new Error(`echo: ${JSON.stringify(answer.content)}`);
    if (answer.structuredContent?.text !== text) throw new Error(`echo: got ${JSON.stringify(answer)}, want ${JSON.stringify(text)}`);
    console.log(
      JSON.stringify({
        session: transport.sessionId ?? null,
        server: client.getServerVersion(),
        tools: tools.map(tool => tool.name).sort(),
        echo: answer.structuredContent
      })
    );
    await transport.terminateSession();
  } finally {
    await client.close();
  }
}

main().catch(err => {
  const why = [err?.message ?? err, err?.cause?.message].filter(Boolean).join(': '); // fetch tells the reason in the cause only
  console.error(`tsclient: ${String(why).replace(/\s+/g, ' ')}`);
  process.exitCode = 1;
});
