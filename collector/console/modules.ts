/**
 * From a source of the console to what a browser loads: types stripped, imports of libraries turned into paths. There is no
 * bundler: the modules of `dashboards/console/` and the libraries' own ES modules are served as they are.
 * Knows nothing of HTTP. build.ts strips with the same function when it packs.
 */
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { fileURLToPath } from 'node:url'

/** Libraries of the console: import specifier → file of the package. */
const LIBRARIES: Readonly<Record<string, string>> = {
  preact: 'preact',
  'preact/hooks': 'preact/hooks',
  htm: 'htm',
  uplot: 'uplot/dist/uPlot.esm.js',
  '@tanstack/table-core': '@tanstack/table-core',
}
/** Path below the console's folder under which a library is served. */
const libraryPath = (specifier: string): string =>
  `lib/${specifier.replaceAll('/', '-').replaceAll('@', '')}.js`

// A statement of its own: the words also stand in texts.
const IMPORT = /((?:^|[;\n])\s*(?:import|export)\b(?:[^'"`;()=]*?\bfrom)?\s*)(["'])([^"'\n]+)\2/g

/** TypeScript to JavaScript; imports of `./x.ts` become `./x.js`. */
export const stripModule = (source: string): string =>
  stripTypeScriptTypes(source, { mode: 'strip' }).replace(
    IMPORT,
    (_all, lead: string, quote: string, specifier: string) =>
      `${lead}${quote}${specifier.startsWith('.') ? specifier.replace(/\.ts$/, '.js') : specifier}${quote}`,
  )

/** Imports of libraries become paths, relative to the file at `path`. Throws for a library that is not on the list. */
export function linkModule(path: string, source: string): string {
  const up = '../'.repeat(path.split('/').length - 1) || './'
  return source.replace(IMPORT, (all, lead: string, quote: string, specifier: string) => {
    if (specifier.startsWith('.')) return all
    if (LIBRARIES[specifier] === undefined)
      throw new Error(`${path} imports ${specifier}, which is not served`)
    return `${lead}${quote}${up}${libraryPath(specifier)}${quote}`
  })
}

const KIND_OF_BUILD = ['process', 'env', 'NODE_ENV'].join('.')
/** Every library as path → source. They were written for bundlers too, which tell them the kind of build. */
export function readLibraries(): Map<string, string> {
  const read = (specifier: string): string =>
    readFileSync(fileURLToPath(import.meta.resolve(specifier)), 'utf8')
  return new Map(
    Object.entries(LIBRARIES).map(([specifier, file]) => {
      const source = read(file)
        .replaceAll(KIND_OF_BUILD, '"production"')
        .replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n')
      return [libraryPath(specifier), linkModule(libraryPath(specifier), source)]
    }),
  )
}

/** The style sheet of the chart library. */
export const readChartStyle = (): string =>
  readFileSync(fileURLToPath(import.meta.resolve('uplot/dist/uPlot.min.css')), 'utf8')
