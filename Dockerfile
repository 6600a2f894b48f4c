# syntax=docker/dockerfile:1
# Weir, and the example server that docker-compose.yml puts behind it. glibc is needed (the embedded ClickHouse has no musl build).

FROM node:24.18.0-bookworm-slim AS base
WORKDIR /build
ENV NPM_CONFIG_FUND=false NPM_CONFIG_AUDIT=false NPM_CONFIG_UPDATE_NOTIFIER=false

# What runs: the packages of the lock file, Node 26 among them.
FROM base AS modules
COPY package.json package-lock.json ./
RUN npm ci --omit=dev

# What is made: JavaScript from TypeScript.
FROM base AS build
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN npm run prepack

FROM base AS server-modules
RUN npm install --omit=dev @modelcontextprotocol/server-everything@2026.8.31

# An MCP server from npm, over streamable HTTP: docker build --target example-server
FROM node:24.18.0-bookworm-slim AS example-server
WORKDIR /app
COPY --from=server-modules /build/node_modules ./node_modules
USER node
ENV PORT=3001
EXPOSE 3001
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=5 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:3001/mcp').then(() => process.exit(0), () => process.exit(1))"]
CMD ["node", "node_modules/@modelcontextprotocol/server-everything/dist/index.js", "streamableHttp"]

FROM debian:12.12-slim AS weir
RUN useradd --uid 10001 --create-home --home-dir /home/weir weir && install -d -o weir -g weir /var/lib/weir
WORKDIR /app
COPY --from=modules /build/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY package.json LICENSE README.md ./
ENV PATH=/app/node_modules/.bin:$PATH TZ=UTC
USER weir
VOLUME /var/lib/weir
EXPOSE 7332 7333
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=5 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:7332/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/weir.js"]
CMD ["up", "--config", "/etc/weir/weir.yaml"]
