/** Tests run on a real server: that of PGQ_TEST_DATABASE_URL, or a throwaway one (see test/support/server.ts). */
import { defineConfig } from 'vitest/config'

const onServer = { globalSetup: ['../test/support/server.ts'], testTimeout: 20_000, hookTimeout: 60_000 }

export default defineConfig({
  test: {
    projects: [
      { test: { ...onServer, name: 'sdk', include: ['test/**/*.test.ts'] } },
      {
        // Crashes and crowds take their time and both cores, so one file after the other.
        root: '../test/chaos',
        test: { name: 'chaos', include: ['**/*.test.ts'], testTimeout: 300_000, hookTimeout: 60_000, fileParallelism: false },
      },
      {
        // They wait most of the time, for pg_net's second and for pg_cron's minute: so several files at once, however few cores there are.
        root: '../test/native',
        test: {
          name: 'native', include: ['**/*.test.ts'], testTimeout: 120_000, hookTimeout: 120_000, maxWorkers: 5, sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
