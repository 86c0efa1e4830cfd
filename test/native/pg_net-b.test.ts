/** The double of pg_net 0.11 to 0.17: polls, each answer is a transaction. */
import { testDouble } from './pg_net-double.ts'

testDouble('B')
