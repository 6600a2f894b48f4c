import { expect, test } from 'vitest'
import { serverNameOf } from '../../../cli/wrap/name.ts'

test.each([
  ['npx -y @modelcontextprotocol/server-memory', 'server-memory'],
  ['npx -y @modelcontextprotocol/server-filesystem@2026.8.31 /docs', 'server-filesystem'],
  ['npx --package=@scope/tools one-tool', 'one-tool'],
  ['npx -p @scope/tools one-tool --flag', 'one-tool'],
  ['/usr/local/bin/npx -y mcp-remote https://example.com/mcp', 'mcp-remote'],
  ['npm exec -- some-server', 'some-server'],
  ['pnpm dlx some-server', 'some-server'],
  ['bunx some-server', 'some-server'],
  ['node dist/index.js', 'index'],
  ['node /opt/weather/dist/index.js --port 3', 'weather'],
  ['node --env-file .env ./weather.mjs', 'weather'],
  ['/usr/bin/node22 ./weather.ts', 'weather'],
  ['python3 -m mcp_server_time --local-timezone UTC', 'mcp-server-time'],
  ['python3.13 servers/time/main.py', 'time'],
  ['uvx mcp-server-git --repository .', 'mcp-server-git'],
  ['uvx --from mcp-server-git==1.2 mcp-server-git', 'mcp-server-git'],
  ['uv --directory /opt/git run git_server.py', 'git-server'],
  ['docker run -i --rm -e TOKEN ghcr.io/github/github-mcp-server:v1.2', 'github-mcp-server'],
  ['docker run -i --rm -v /a:/b mcp/filesystem /projects', 'filesystem'],
  ['env A=b npx -y some-server', 'some-server'],
  ['/opt/Some Server/bin/server', 'Some-Server'],
  ['./my.server.exe', 'my-server'],
  ['???', 'server'],
  ['npx', 'npx'],
  [`./${'x'.repeat(60)}`, 'x'.repeat(40)],
])('%s is %s', (command, name) => {
  // The one command with a blank in a word stands for all that have.
  const words = command.includes('Some Server') ? [command] : command.split(' ')
  expect(serverNameOf(words)).toBe(name)
  expect(name).toMatch(/^[A-Za-z0-9][A-Za-z0-9-]{0,39}$/)
})
