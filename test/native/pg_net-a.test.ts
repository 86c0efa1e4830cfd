/** The double of pg_net 0.8 to 0.10: polls, a batch is one transaction. */
import { testDouble } from './pg_net-double.ts'

testDouble('A')
