/** Makes dist/ for the package: Node strips no types under node_modules, so what is published is JavaScript. */
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripModule } from './collector/console/modules.ts'

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
// The console: modules for the browser, in the form the collector would give them.
for (const file of globSync('dashboards/console/**/*.{ts,js,css,svg,html}', { cwd: root })) {
  const target = join(dist, file)
  mkdirSync(dirname(target), { recursive: true })
  if (file.endsWith('.ts'))
    writeFileSync(target.replace(/\.ts$/, '.js'), stripModule(readFileSync(join(root, file), 'utf8')))
  else cpSync(join(root, file), target)
}
chmodSync(join(dist, 'weir.js'), 0o755)
