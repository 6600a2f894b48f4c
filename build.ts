/** Makes dist/ for the package: Node strips no types under node_modules, so what is published is JavaScript. */
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, globSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('.', import.meta.url))
const dist = join(root, 'dist')
rmSync(dist, { recursive: true, force: true })
const built = spawnSync(
  process.execPath,
  [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json')],
  { stdio: 'inherit' },
)
if (built.status !== 0) process.exit(built.status ?? 1)
// What the sources read at run time and is no TypeScript.
for (const file of globSync('collector/**/*.sql', { cwd: root })) cpSync(join(root, file), join(dist, file))
chmodSync(join(dist, 'weir.js'), 0o755)
