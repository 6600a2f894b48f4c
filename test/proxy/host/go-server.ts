/** Where `go install github.com/modelcontextprotocol/go-sdk/conformance/everything-server@v1.8.0` puts its program. */
import { homedir } from 'node:os'
import { join } from 'node:path'

export const goServer: string = join(
  process.env.GOBIN ?? join(process.env.GOPATH ?? join(homedir(), 'go'), 'bin'),
  'everything-server',
)
