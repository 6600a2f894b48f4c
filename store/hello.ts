/**
 * The one answer the store writes itself: clickhouse-go's first question over HTTP.
 * That driver reads the answer at its own protocol revision and every later one at the revision the answer names. The
 * engine always writes revision 0, so the answer says 0, in the shape of the driver's own revision.
 */

const question =
  /^\s*SELECT\s+displayName\(\)\s*,\s*version\(\)\s*,\s*revision\(\)\s*,\s*timezone\(\)\s*;?\s*$/i

/** From here on a Native column carries a byte that tells custom serialisation. */
const customSerialisation = 54454

/** Whether to answer with `helloBlock`: the question itself, from a client that names its revision. */
export function isHello(sql: string, clientRevision: number): boolean {
  return clientRevision > 0 && question.test(sql)
}

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value)
  // Lengths are LEB128; names and versions stay far below 128 bytes.
  return Buffer.concat([Buffer.from([bytes.length & 0x7f]), bytes])
}

/** One Native block of one row, as a server of `clientRevision` writes it. */
export function helloBlock(clientRevision: number, version: string): Buffer {
  const serialisation = Buffer.from(clientRevision >= customSerialisation ? [0] : [])
  const column = (name: string, type: string, value: Buffer) => [text(name), text(type), serialisation, value]
  const blockInfo = Buffer.from([1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0])
  return Buffer.concat([
    blockInfo,
    Buffer.from([4, 1]),
    ...column('displayName()', 'String', text('weir')),
    ...column('version()', 'String', text(version)),
    ...column('revision()', 'UInt32', Buffer.alloc(4)),
    ...column('timezone()', 'String', text('UTC')),
  ])
}
