import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // The embedded engine must never meet worker threads: one that exits takes every connection with it.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    sequence: { shuffle: { files: false, tests: false } },
    reporters: ['default'],
  },
})
