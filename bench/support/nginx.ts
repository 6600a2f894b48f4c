/** nginx as plain reverse proxy: what forwarding a call costs in C. Own config, own folder, one worker, no access log. */
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type Started, scratch, sleep, start, which } from './children.ts'
import { descendants } from './proc.ts'

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })

/** Null when nginx is not installed. `pids` are the processes that serve. */
export async function startNginx(
  upstream: string,
): Promise<(Started & { url: string; pids: number[] }) | null> {
  const nginx = which('nginx') ?? which('/usr/sbin/nginx')
  if (!nginx) return null
  const folder = scratch('nginx')
  const port = await freePort()
  const at = new URL(upstream)
  const file = join(folder, 'nginx.conf')
  writeFileSync(
    file,
    `${process.getuid?.() === 0 ? 'user root;\n' : ''}worker_processes 1;
daemon off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  keepalive_requests 100000000;
  client_body_buffer_size 64k;
  upstream stub { server ${at.host}; keepalive 128; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://stub;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "";
      proxy_buffer_size 16k;
      proxy_buffers 8 64k;
      proxy_busy_buffers_size 64k;
    }
  }
}
`,
  )
  const started = start(nginx, ['-c', file, '-p', folder])
  for (let i = 0; i < 100; i++) {
    const pids = descendants(started.pid).map((p) => p.pid)
    if (pids.length > 0) return { ...started, url: `http://127.0.0.1:${port}`, pids: [started.pid, ...pids] }
    await sleep(50)
  }
  await started.stop()
  throw new Error('nginx did not start')
}
