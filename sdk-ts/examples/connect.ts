/** Databases and drivers. It connects to nothing. */
import { fromDriver, fromPg, PostgresDb } from 'pgq'
import pg from 'pg'
import postgres from 'postgres'

const url = 'postgres://user:password@host/database'

// ---- Connections

const db = new PostgresDb(url)
const options = new PostgresDb({ host: 'host', database: 'database', user: 'user', password: 'password', max: 20 })
const pooled = new PostgresDb(url, { transaction_pooler: true }) // behind PgBouncer in transaction mode
const mine = new PostgresDb(postgres(url)) // your own instance of the package postgres; end() leaves it open
const node_postgres = fromPg(new pg.Pool({ connectionString: url }))

// ---- Any other driver

const client = new pg.Client(url) // any object that runs one statement, with numbered parameters
const any = fromDriver({
  query: (text, values) => client.query(text, values),
})

// ---- The end

export { any, db, mine, node_postgres, options, pooled }
