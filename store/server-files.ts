/**
 * The directories of a store and the two files its engine reads at birth.
 * Always written afresh and always named to the engine, which otherwise takes any config.xml of the working directory.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

export type StorePaths = { engine: string; config_file: string; inserts: string; pipes: string }

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** The engine's own user is always `default`; what it may do is the role a session takes. */
const usersXml = (database: string): string => `<clickhouse>
  <profiles><default></default></profiles>
  <quotas><default></default></quotas>
  <roles>
    <writer><grants><query>GRANT ALL ON *.*</query></grants></writer>
    <reader><grants>
      <query>GRANT SELECT ON ${database}.*</query>
      <query>GRANT SHOW ON ${database}.*</query>
    </grants></reader>
  </roles>
  <users>
    <default>
      <password></password>
      <networks><ip>::/0</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants><query>GRANT writer</query><query>GRANT reader</query></grants>
    </default>
  </users>
</clickhouse>
`

/** The empty host list closes url(), s3() and their like for writers too. */
const configXml = (directory: string): string => `<clickhouse>
  <user_directories><users_xml><path>${escapeXml(join(directory, 'users.xml'))}</path></users_xml></user_directories>
  <remote_url_allow_hosts></remote_url_allow_hosts>
  <user_files_path>${escapeXml(join(directory, 'files'))}</user_files_path>
  <format_schema_path>${escapeXml(join(directory, 'files'))}</format_schema_path>
</clickhouse>
`

/** Creates what is missing and clears what a killed process left half done. */
export function prepareFiles(data_path: string, database: string): StorePaths {
  const root = resolve(data_path)
  const config = join(root, 'config')
  const paths = {
    engine: join(root, 'clickhouse'),
    config_file: join(config, 'config.xml'),
    inserts: join(root, 'inserts'),
    pipes: join(root, 'pipes'),
  }
  mkdirSync(root, { recursive: true, mode: 0o700 })
  for (const path of [paths.engine, config, join(config, 'files')])
    mkdirSync(path, { recursive: true, mode: 0o700 })
  writeFileSync(join(config, 'users.xml'), usersXml(database), { mode: 0o600 })
  writeFileSync(paths.config_file, configXml(config), { mode: 0o600 })
  return paths
}

/** Empties the working directories. Only for the process that holds the engine: another's inserts live there. */
export function clearLeftovers(paths: StorePaths): void {
  for (const path of [paths.inserts, paths.pipes]) {
    rmSync(path, { recursive: true, force: true })
    mkdirSync(path, { recursive: true, mode: 0o700 })
  }
}
