/** The double of pg_net 0.19.6 and later: is woken, a batch is one transaction. */
import { testDouble } from './pg_net-double.ts'

testDouble('C')
