/** The outcomes in era C of pg_net. */
import { testOutcomes } from './outcomes.ts'

testOutcomes('C')
