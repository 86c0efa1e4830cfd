export { PgQueue, PostgresDb, startWorker } from '../../../sdk-ts/src/index.ts'
